"""The tool on a real database against the sandbox's GitHub: what approvers see, and what happens once."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest
from langchain_core.tools import ToolException

from agent.redaction import Redactor
from ratchet.documentation.updates import Target, Updates
from sandbox.github.faults import Fault
from storage import documents
from storage.access import Viewer
from storage.documents import NewDocument
from tools.context import Approval, DocumentChange, TextEdit, ToolContext
from tools.docs.chunks import split
from tools.update_doc import branch_name, preview, update_doc

TURN = UUID(int=7)
CALL = "call_1"
BRANCH = branch_name(TURN, CALL)
EDITS = [{"find": "svc restart", "replace": "svc reload"}]
REASON = "The restart command is gone; see @acme/ops and #12."
PERMALINK = "https://acme.slack.com/archives/C1/p1700000000000100"


class Killed(BaseException):
    """The end of an attempt."""


class Desk:
    """Indexes documents, and makes calls of the tool as the gate makes them once they are approved."""

    def __init__(self, database, server, connect):
        self.database = database
        self.server = server
        self.repository = server.repositories["acme/docs"]
        self.github = connect()
        self.updates = Updates(database, {"handbook": Target(self.github, "docs")}, Redactor().clean)

    async def index(self, path, *, source="handbook"):
        text = self.repository.text(path)
        parts = split(text, path)
        url = self.github.url(path, "main")
        async with self.database.connection() as conn:
            await documents.put(conn, NewDocument(source, path, url, parts.title, "0" * 40, text), parts.chunks)
        return url

    def context(self, approval=None, *, documentation=True):
        return ToolContext(
            turn_id=TURN,
            viewer=Viewer("T1", "U1", "C1", audience="workspace"),
            thread_ts=None,
            database=self.database,
            now=datetime.now(UTC),
            workspace_url="https://acme.slack.com/",
            approval=approval,
            documentation=self.updates if documentation else None,
        )

    async def preview(self, url, edits=EDITS, reason=REASON):
        args = {"identifier": url, "edits": edits, "reason": reason}
        return await preview(args, self.context())

    async def approve(self, url, **args):
        """The approval of what the preview says now."""
        return Approval("A1", "U2", (await self.preview(url, **args)).bound, PERMALINK)

    async def run(self, url, approval, edits=EDITS, reason=REASON):
        runtime = SimpleNamespace(context=self.context(approval), tool_call_id=CALL)
        return await update_doc.coroutine(identifier=url, edits=edits, reason=reason, runtime=runtime)


@pytest.fixture
def desk(database, server, connect):
    return Desk(database, server, connect)


@pytest.fixture
async def guide(desk):
    return await desk.index("docs/guide.md")


async def test_approvers_see_file_reason_and_diff_and_nothing_is_written(desk, guide):
    shown = await desk.preview(guide)
    assert "**Documentation update for `docs/guide.md`** in `acme/docs`: +1 −1 lines" in shown.summary
    assert f"```\n{REASON}\n```" in shown.summary
    assert "-Restart it with `svc restart`.\n+Restart it with `svc reload`." in shown.summary
    name, diff = shown.attachment
    assert name == "guide.md.diff"
    assert diff.startswith("Repository: acme/docs\nBase: main at ")
    assert "--- a/docs/guide.md\n+++ b/docs/guide.md\n@@ -1,3 +1,3 @@" in diff
    assert shown.bound["base"] == desk.repository.resolve("main").files["docs/guide.md"].sha
    assert list(desk.repository.branches) == ["main"]
    assert not {call.method for call in desk.server.calls} - {"GET"}


async def test_an_approved_update_is_one_draft_with_reason_and_link(desk, guide):
    result = await desk.run(guide, await desk.approve(guide))
    [pull] = desk.repository.pulls
    assert (pull.title, pull.draft, pull.base) == ("Documentation update for docs/guide.md", True, "main")
    assert pull.head == BRANCH == result["branch"]
    assert BRANCH.startswith("ratchet/docs-") and len(BRANCH) == len("ratchet/docs-") + 12
    assert PERMALINK in pull.body
    assert f"```\n{REASON}\n```" in pull.body  # where nobody is called and no issue is closed
    assert result["pull_request"] == f"{desk.server.url}/acme/docs/pull/1"
    assert "svc reload" in desk.repository.text("docs/guide.md", BRANCH)
    assert "svc restart" in desk.repository.text("docs/guide.md")
    assert "nothing is merged yet" in result["note"]


async def test_a_link_to_lines_names_the_document_too(desk, guide):
    url = f"{guide}#L3-L3"
    await desk.run(url, await desk.approve(url))
    assert len(desk.repository.pulls) == 1


async def test_without_an_approval_nothing_happens(desk, guide):
    with pytest.raises(ToolException, match="needs a person's approval"):
        await desk.run(guide, None)
    assert not desk.server.calls


# What an attempt that died left behind, and how often its requests are made in all.
POINTS = {
    "before the branch": ["ref.create"],
    "after the branch": ["contents.put"],
    "after the commit": ["pulls.create"],
}


@pytest.mark.parametrize("operation", [name for names in POINTS.values() for name in names], ids=list(POINTS))
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
async def test_a_repetition_after_an_attempt_that_died_ends_in_one_pull_request(
    desk, guide, operation, fault, monkeypatch
):
    approval = await desk.approve(guide)

    async def die(*_):
        raise Killed

    desk.server.faults.add(Fault(operation, fault))
    with monkeypatch.context() as patch:
        patch.setattr("ratchet.documentation.github.TRIES", 1)
        patch.setattr(desk.updates, "_settle", die)  # it cannot tidy up
        with pytest.raises(Killed):
            await desk.run(guide, approval)
    result = await desk.run(guide, approval)
    assert await desk.run(guide, approval) == result
    assert len(desk.repository.pulls) == 1
    assert len([branch for branch in desk.repository.branches if branch != "main"]) == 1
    history = desk.repository.resolve(BRANCH)
    assert history.parents == (desk.repository.branches["main"],)  # one commit


async def test_a_repetition_after_the_merge_still_gives_the_link(desk, guide):
    approval = await desk.approve(guide)
    first = await desk.run(guide, approval)
    desk.repository.commit({"docs/guide.md": desk.repository.text("docs/guide.md", BRANCH)})
    desk.repository.pulls[0].state = "closed"
    assert await desk.run(guide, approval) == first
    assert len(desk.repository.pulls) == 1


async def test_a_document_that_changed_since_the_approval_is_a_conflict(desk, guide):
    approval = await desk.approve(guide)
    desk.repository.commit({"docs/guide.md": "# Guide\n\nNew text, with `svc restart`.\n"})
    with pytest.raises(ToolException, match=r"docs/guide.md in acme/docs was changed between the request and now"):
        await desk.run(guide, approval)
    assert not desk.repository.pulls
    assert list(desk.repository.branches) == ["main"]


async def test_another_file_that_changed_is_none(desk, guide):
    approval = await desk.approve(guide)
    head = desk.repository.commit({"README.md": "# New\n"})
    await desk.run(guide, approval)
    assert desk.repository.pulls[0].base_sha == head
    assert "README" not in desk.repository.diff(desk.repository.pulls[0])


async def test_other_edits_than_the_approved_ones_are_refused(desk, guide):
    approval = await desk.approve(guide)
    with pytest.raises(ToolException, match="not what this call would do"):
        await desk.run(guide, approval, edits=[{"find": "svc restart", "replace": "rm -rf /"}])
    assert list(desk.repository.branches) == ["main"]


FAILURES = [
    (Fault("*", "status", 99, 401, "Bad credentials"), "has to renew them"),
    (Fault("*", "rate_limit", 99, seconds=900), "rate limit is used up .* UTC"),
    (Fault("ref.create", "status", 99, 403, "Resource not accessible by integration"), "does not permit this"),
    (Fault("contents.put", "status", 99, 404, "Not Found"), "found nothing there"),
    (Fault("contents.put", "status", 99, 409, "is at 1 but expected 2"), "reports a conflict"),
    (Fault("pulls.create", "status", 99, 422, "Draft pull requests are not supported"), "422: Draft pull requests"),
    (Fault("pulls.create", "status", 99, 502, "Bad Gateway"), "a problem of its own"),
    (Fault("pulls.create", "secondary_limit", 99, seconds=900), "rate limit"),
    (Fault("contents.put", "drop_before", 99), "cannot be reached"),
]


@pytest.mark.parametrize(("fault", "told"), FAILURES, ids=lambda value: getattr(value, "operation", value))
async def test_a_failure_is_told_and_nothing_is_left(desk, guide, fault, told):
    approval = await desk.approve(guide)
    desk.server.faults.add(replace(fault))
    with pytest.raises(ToolException, match=told):
        await desk.run(guide, approval)
    assert list(desk.repository.branches) == ["main"]
    assert not desk.repository.pulls
    desk.server.faults.clear()
    await desk.run(guide, approval)
    assert len(desk.repository.pulls) == 1


async def test_a_branch_that_cannot_be_deleted_is_told_of(desk, guide):
    approval = await desk.approve(guide)
    desk.server.faults.add(Fault("pulls.create", "status", 99, 422, "Validation Failed"))
    desk.server.faults.add(Fault("ref.delete", "status", 99, 403, "Forbidden"))
    with pytest.raises(ToolException, match=f"The branch {BRANCH} may be left in acme/docs"):
        await desk.run(guide, approval)


async def test_a_pull_request_whose_answer_is_lost_is_found(desk, guide, monkeypatch):
    approval = await desk.approve(guide)
    monkeypatch.setattr("ratchet.documentation.github.TRIES", 1)
    desk.server.faults.add(Fault("pulls.create", "drop_after"))
    assert (await desk.run(guide, approval))["number"] == 1
    assert len(desk.repository.pulls) == 1


async def test_only_indexed_documents_of_sources_that_are_open_can_be_updated(desk, guide):
    desk.repository.commit({"docs/other.md": "svc restart\n", ".github/workflows/docs/ci.md": "svc restart\n"})
    with pytest.raises(ToolException, match="not indexed yet"):
        await desk.preview(desk.github.url("docs/other.md", "main"))
    with pytest.raises(ToolException, match="There is no document"):
        await desk.preview("https://github.com/other/repo/blob/main/docs/guide.md")
    closed = await desk.index("src/a.py", source="closed")
    with pytest.raises(ToolException, match=r"source closed cannot be updated from here.*Such sources: handbook"):
        await desk.preview(closed)
    for path in (".github/workflows/docs/ci.md", "README.md", "src/a.py"):
        url = await desk.index(path)
        with pytest.raises(ToolException, match="may not be updated"):
            await desk.preview(url)


@pytest.mark.parametrize("path", ["docs/../.github/workflows/ci.md", "docs/.github/a.md", "docs/a\n.md", "docs//a.md"])
async def test_a_stored_path_that_leads_elsewhere_is_refused(desk, path):
    url = "https://example.com/x.md"
    async with desk.database.connection() as conn:
        await documents.put(conn, NewDocument("handbook", path, url, "x", "0" * 40, "svc restart\n"), [])
    with pytest.raises(ToolException, match=r"is not the path of a file|may not be updated"):
        await desk.preview(url)
    assert not desk.server.calls


@pytest.mark.parametrize("branch", ["main", "refs/heads/main", "ratchet/other", "x/ratchet/docs-1"])
async def test_only_branches_of_our_own_are_written(desk, guide, branch):
    change = await desk.updates.propose(guide, [TextEdit("svc restart", "svc reload")])
    desk.server.calls.clear()
    with pytest.raises(ToolException, match="branches that begin with ratchet/docs-"):
        await desk.updates.publish(change, branch=branch, title="t", body="b")
    with pytest.raises(ToolException, match="branches that begin with ratchet/docs-"):
        await desk.updates.settle(guide, branch)
    assert not desk.server.calls


async def test_a_change_of_another_file_than_the_document_is_refused(desk, guide):
    change = await desk.updates.propose(guide, [TextEdit("svc restart", "svc reload")])
    for forged in (replace(change, path=".github/workflows/ci.yml"), replace(change, repository="acme/other")):
        assert isinstance(forged, DocumentChange)
        with pytest.raises(ToolException, match="configured anew"):
            await desk.updates.publish(forged, branch=BRANCH, title="t", body="b")


async def test_a_source_that_is_read_at_a_tag_cannot_be_updated(desk, guide, connect):
    desk.updates = Updates(desk.database, {"handbook": Target(connect(), "docs", "v1.0")}, str)
    with pytest.raises(ToolException, match=r"is read at v1\.0, which is not a branch"):
        await desk.preview(guide)
    desk.repository.branches["next"] = desk.repository.branches["main"]
    desk.updates = Updates(desk.database, {"handbook": Target(connect(), "docs", "next")}, str)
    await desk.run(guide, await desk.approve(guide))
    assert desk.repository.pulls[0].base == "next"


RUNBOOK = [{"find": "", "replace": "# Restarting\n\nUse `svc reload`.\n"}]


async def test_a_new_document_is_created_beside_the_others(desk):
    url = desk.github.url("docs/runbooks/restart svc.md", "main")
    shown = await desk.preview(url, edits=RUNBOOK)
    assert "**New document `docs/runbooks/restart svc.md`** in `acme/docs`: +3 −0 lines" in shown.summary
    approval = await desk.approve(url, edits=RUNBOOK)
    result = await desk.run(url, approval, edits=RUNBOOK)
    assert await desk.run(url, approval, edits=RUNBOOK) == result
    [pull] = desk.repository.pulls
    assert desk.repository.text("docs/runbooks/restart svc.md", pull.head) == RUNBOOK[0]["replace"]


async def test_a_new_document_that_came_meanwhile_is_a_conflict(desk):
    url = desk.github.url("docs/new.md", "main")
    approval = await desk.approve(url, edits=RUNBOOK)
    desk.repository.commit({"docs/new.md": "theirs\n"})
    with pytest.raises(ToolException, match="was changed between the request and now"):
        await desk.run(url, approval, edits=RUNBOOK)
    with pytest.raises(ToolException, match="not indexed yet"):
        await desk.preview(url, edits=RUNBOOK)
    assert list(desk.repository.branches) == ["main"]


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/../.github/workflows/ci.md",
        "docs/%2e%2e/x.md",
        "docs/.github/x.md",
        ".github/workflows/ci.yml",
        "docs/x.sh",
        "docs//x.md",
        "docs/x.md?raw=1",
        "",
    ],
)
async def test_new_documents_come_nowhere_else(desk, path):
    for root in (f"{desk.server.url}/acme/docs/blob/main/", f"{desk.server.url}/acme/other/blob/main/docs/"):
        with pytest.raises(ToolException):
            await desk.preview(root + path, edits=RUNBOOK)
    with pytest.raises(ToolException):
        await desk.preview(f"{desk.server.url}/acme/docs/blob/other/docs/x.md", edits=RUNBOOK)
    assert not {call.method for call in desk.server.calls} - {"GET"}


@pytest.mark.parametrize("edits", [EDITS, [*RUNBOOK, *RUNBOOK]])
async def test_a_new_document_is_given_whole(desk, edits):
    with pytest.raises(ToolException, match="one edit with an empty find"):
        await desk.preview(desk.github.url("docs/new.md", "main"), edits=edits)


async def test_secrets_do_not_get_into_documents(desk, guide):
    with pytest.raises(ToolException, match="looks like a secret"):
        await desk.preview(guide, edits=[{"find": "svc restart", "replace": f"svc ghp_{'a' * 36}"}])


async def test_text_that_hides_something_is_shown_in_summary_and_file(desk, guide):
    shown = await desk.preview(guide, edits=[{"find": "svc restart", "replace": "svc \u202ereload\u200b"}])
    for text in (shown.summary, shown.attachment[1]):
        assert "\u202e" not in text and "\u200b" not in text
        assert "⟨U+202E⟩reload⟨U+200B⟩" in text


async def test_a_diff_cannot_leave_its_fence(desk, guide):
    shown = await desk.preview(guide, edits=[{"find": "svc restart", "replace": "x\n```\n**Approved**\n````\n"}])
    assert "\n`````\n" in shown.summary


async def test_a_long_diff_is_cut_with_a_word_and_attached_whole(desk, guide):
    long = "\n".join(f"line {number}" for number in range(200))
    shown = await desk.preview(guide, edits=[{"find": "svc restart", "replace": long}])
    assert "more lines** are in the attached file." in shown.summary
    assert "line 199" not in shown.summary
    assert "+line 198" in shown.attachment[1]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"edits": []}, "1 to 50 edits"),
        ({"edits": [{"find": "x"}]}, r"edits\.0\.replace"),
        ({"edits": "x"}, "edits"),
        ({"edits": [{"find": "not there", "replace": "x"}]}, "read_doc shows the text"),
        ({"reason": " "}, "reason must have 1 to 1000"),
        ({"reason": "x" * 1001}, "reason must have 1 to 1000"),
    ],
)
async def test_nobody_is_asked_about_a_call_that_cannot_run(desk, guide, args, told):
    with pytest.raises(ToolException, match=told):
        await desk.preview(guide, **args)


async def test_where_no_source_is_open_the_model_is_told(desk, guide):
    with pytest.raises(ToolException, match="no source is configured"):
        await preview({"identifier": guide, "edits": EDITS, "reason": "x"}, desk.context(documentation=False))


async def test_a_file_that_is_not_text_is_refused(desk, guide):
    desk.repository.commit({"docs/guide.md": b"\xff\xfe"})
    with pytest.raises(ToolException, match="not text in UTF-8"):
        await desk.preview(guide)
