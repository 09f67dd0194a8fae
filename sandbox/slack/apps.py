"""api.test, auth.test, apps.connections.open, bots.info, team.info."""

from sandbox.slack.call import Call
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack
from sandbox.workspace import APP_ID


def api_test(_slack: Slack, call: Call) -> JSON:
    """api.test: echoes; fails with the given `error`."""
    if call.text("error"):
        raise SlackError(call.text("error"), args=call.args)
    return {"args": call.args}


def auth_test(slack: Slack, _call: Call) -> JSON:
    """auth.test."""
    workspace = slack.workspace
    return {
        "url": f"{slack.url}/",
        "team": workspace.name,
        "user": workspace.users[workspace.bot_user_id].name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user_id,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(slack: Slack, _call: Call) -> JSON:
    """apps.connections.open: the address of one socket, good for one connection."""
    root = slack.url.replace("http", "ws", 1)
    return {"url": f"{root}/socket?ticket={slack.sockets.new_ticket()}&app_id={APP_ID}"}


def bot_info(slack: Slack, call: Call) -> JSON:
    """bots.info."""
    bot = slack.workspace.bots.get(call.text("bot", slack.workspace.bot_id))
    if bot is None:
        raise SlackError("bot_not_found")
    answer = {"id": bot.id, "name": bot.name, "app_id": bot.app_id, "deleted": False, "updated": 0}
    return {"bot": answer | ({"user_id": bot.user_id} if bot.user_id else {})}


def team_info(slack: Slack, _call: Call) -> JSON:
    """team.info."""
    workspace = slack.workspace
    team = {"id": workspace.team_id, "name": workspace.name, "domain": workspace.domain, "email_domain": ""}
    return {"team": team | {"url": f"{slack.url}/"}}


METHODS = {
    "api.test": api_test,
    "auth.test": auth_test,
    "apps.connections.open": open_connection,
    "bots.info": bot_info,
    "team.info": team_info,
}
