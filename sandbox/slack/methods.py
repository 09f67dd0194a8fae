"""Every method of the Web API that the sandbox knows, by its name."""

from collections.abc import Callable

from sandbox.slack import (
    apps,
    assistants,
    chat,
    conversations,
    files,
    reactions,
    streams,
    usergroups,
    users,
    views,
)
from sandbox.slack.call import Call
from sandbox.slack.records import JSON
from sandbox.slack.state import Slack

Handler = Callable[[Slack, Call], JSON]

METHODS: dict[str, Handler] = {
    **apps.METHODS,
    **assistants.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **reactions.METHODS,
    **streams.METHODS,
    **usergroups.METHODS,
    **users.METHODS,
    **views.METHODS,
}
