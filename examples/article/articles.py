"""Summarise texts, check the summaries, let people decide, and write a report of each.

    clew run examples/article/articles.py --input folder=docs --input out=out/articles

Each text walks a state graph of its own: its sections are scored side by side, a summary is drafted, and four
checks look at it at once. It is drafted again until they have nothing to object to, three times at most; then the
first sentences of the text have to do. Somebody may object, too:

    clew reject RUN "article[cli.md]/review" --reason "shorter, and more about runs"

(or *other sentences*, or *not 2 and 4*). Nobody has to: after a second of silence it goes on. `review.py`, beside
this file, gives people more time and asks them.

Kill the run when you like and start it again: what was done is not done again.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

import article_text.checks
import article_text.markdown
import article_text.report
import article_text.summary
import msgspec
from article_text.model import Digest, Draft, Finding, Plan, Round, Sentence, Text

from clew import END, START, StateGraph, Update, append, branch, merge

#: How often a summary is drafted again, at most.
REVISIONS = 3
#: How long somebody may object, in seconds, where nobody is expected to.
PATIENCE_S = 1.0


class Article(TypedDict, total=False):
    """What is known of one text."""

    folder: str
    file: str
    out: str
    limit: int
    text: Text
    parts: list[int]
    weights: dict[str, float]
    sentences: Annotated[list[Sentence], append]
    plan: Plan
    draft: Draft
    findings: Annotated[list[Finding], append]
    figures: Annotated[dict[str, float], merge]
    rounds: Annotated[list[Round], append]
    ended: str
    digests: Annotated[list[Digest], append]


# Nodes ------------------------------------------------------------------------------------------------


def read(state: Article) -> Article:
    """Read the text."""
    text = article_text.markdown.read_text(state["folder"], state["file"])
    parts = [section.number for section in text.sections]
    return {"text": text, "parts": parts, "weights": article_text.summary.weigh(text.sections), "plan": Plan()}


def score(part: int, state: Article) -> Article:
    """Score the sentences of one section."""
    return {"sentences": article_text.summary.score_section(state["text"].sections[part], state["weights"])}


def draft(state: Article) -> Article | Update:
    """Choose sentences for a summary."""
    sentences, plan = state.get("sentences", []), state["plan"]
    if len(plan.avoid) == len(sentences):
        return Update(fallback=True)  # none is left
    return {"draft": article_text.summary.choose(sentences, plan)}


def wording(state: Article) -> Article:
    """Check the words."""
    return {"findings": article_text.checks.wording(state["draft"], state["text"].sections)}


def readability(state: Article) -> Article:
    """Check how it reads."""
    findings, figures = article_text.checks.readability(state["draft"])
    return {"findings": findings, "figures": figures}


def length(state: Article) -> Article:
    """Check whether it is short enough."""
    findings, figures = article_text.checks.length(state["draft"], state["text"].sections, state["limit"])
    return {"findings": findings, "figures": figures}


def links(state: Article) -> Article:
    """Check whether the links of the text lead somewhere."""
    findings, figures = article_text.checks.links(state["folder"], state["file"], state["text"].links)
    return {"findings": findings, "figures": figures}


def revise(state: Article) -> Update:
    """Plan the next draft, by what the checks have found or what somebody has said."""
    reason = state.get("review.reject_reason", "")
    findings = state.get("findings", [])
    plan = article_text.summary.replan(state["plan"], state["draft"], findings, reason, state["weights"])
    # What was said of this draft is no longer true of the next one.
    said = ("findings", "review.approved", "review.reject_reason")
    return Update({"plan": plan, "rounds": [_round(state)]}, delete=said)


def lead(state: Article) -> Article:
    """Fall back on the first sentences of the text."""
    draft = article_text.summary.lead(state.get("sentences", []))
    figures = article_text.checks.readability(draft)[1]
    rounds = [_round(state)] if is_to_be_revised(state) or "review.reject_reason" in state else []
    return {"draft": draft, "figures": figures, "rounds": rounds, "ended": "the first sentences have to do"}


def write(state: Article) -> Article:
    """Write the report."""
    text, draft, rounds = state["text"], state["draft"], state.get("rounds", [])
    ended = state.get("ended", "nobody objected")
    unchecked = [Finding(check=name, says="could not be checked") for name in state.get("check.failed", [])]
    page = article_text.report.render(
        file=state["file"],
        text=text,
        sentences=state.get("sentences", []),
        draft=draft,
        ended=ended,
        rounds=rounds,
        findings=[*state.get("findings", []), *unchecked],
        figures=state.get("figures", {}),
    )
    path = article_text.report.report_path(state["out"], state["file"])
    article_text.report.write_page(path, page)
    digest = Digest(
        file=state["file"],
        title=text.title,
        report=path,
        words=article_text.report.words_in(text.sections),
        draft=draft,
        ended=ended,
        drafts=len(rounds) + 1,
    )
    return {"digests": [digest]}


def _round(state: Article) -> Round:
    """The draft that is there, and all that was said against it."""
    draft, reason = state["draft"], state.get("review.reject_reason", "")
    why = [finding.says for finding in state.get("findings", []) if finding.wish]
    return Round(words=draft.words, why=[*why, *([f'somebody said "{reason}"'] if reason else [])])


# Edges ------------------------------------------------------------------------------------------------


def is_to_be_revised(state: Article) -> bool:
    """Whether a check has found something that another draft could do better."""
    return any(finding.wish for finding in state.get("findings", []))


def one_article(patience_s: float) -> StateGraph:
    """How one text is summarised.

    Args:
        patience_s: how long somebody may object, in seconds.
    """
    article = StateGraph(Article, description="Summarise one text.")
    article.add_node(read)
    article.add_map("score", score, over="parts")
    article.add_node(draft)
    article.add_parallel(
        "check", [wording, readability, length, branch(links, retry=2)], on_branch_error="collect_all"
    )
    article.add_barrier(
        "review",
        "Is the summary good?",
        shows=("file", "draft", "findings"),
        timeout=patience_s,
        default="approve",
    )
    article.add_node(revise, max_visits=REVISIONS, on_limit="fallback")
    article.add_node(lead)
    article.add_node(write)

    article.add_edge(START, "read")
    article.add_edge("read", "score")
    article.add_edge("score", "draft")
    article.add_edge("draft", "check")
    article.add_edge("check", "revise", when=is_to_be_revised)
    article.add_edge("check", "review")
    article.add_edge("review", "write", when="{{ state['review.approved'] }}")
    article.add_edge("review", "revise")
    article.add_edge("revise", "draft")
    article.add_edge("lead", "write")
    article.add_edge("write", END)
    # A text without a sentence, and one of which every draft was refused.
    article.add_fallback("draft", "lead")
    article.add_fallback("revise", "lead")
    return article


# All texts --------------------------------------------------------------------------------------------


class Texts(msgspec.Struct):
    """What is known of all texts; `folder`, `out`, `limit` and `digests` they share."""

    folder: str = "docs"
    out: str = "out/articles"
    limit: int = 90
    files: list[str] = []
    digests: Annotated[list[Digest], append] = []
    unreadable: list[str] = []
    overview: str = ""


def find(state: Texts) -> dict[str, list[str]]:
    """List the texts."""
    return {"files": article_text.markdown.find_texts(state.folder)}


def overview(state: Texts) -> Update:
    """Write the page that leads to all reports."""
    unreadable = sorted({*state.files} - {digest.file for digest in state.digests})
    page = article_text.report.render_overview(state.folder, state.digests, unreadable)
    path = article_text.report.write_page(article_text.report.report_path(state.out, "index.md"), page)
    # What is left in the state is what the run returns.
    return Update({"overview": path, "unreadable": unreadable}, delete=("files", "digests", "article.failed"))


def all_articles(article: StateGraph) -> StateGraph:
    """The whole pipeline: every text of a folder, and an overview.

    Args:
        article: how one text is summarised.
    """
    texts = StateGraph(Texts, name="articles", description="Summarise the texts of a folder.", max_concurrency=8)
    texts.add_node(find)
    texts.add_map("article", article, over="files", item="file", key=str, on_item_error="collect")
    texts.add_node(overview)
    texts.add_edge(START, "find")
    texts.add_edge("find", "article")
    texts.add_edge("article", "overview")
    texts.add_edge("overview", END)
    return texts


article = one_article(PATIENCE_S)
g = all_articles(article)
