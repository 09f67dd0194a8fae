"""usergroups.*: groups of people, as a workspace's administrators make them."""

from sandbox.slack.call import Call
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack


def list_groups(slack: Slack, _call: Call) -> JSON:
    """usergroups.list."""
    groups = [
        {
            "id": group_id,
            "team_id": slack.workspace.team_id,
            "is_usergroup": True,
            "name": handle,
            "handle": handle,
            "date_delete": 0,
            "user_count": len(members),
        }
        for group_id, (handle, members) in slack.usergroups.items()
    ]
    return {"usergroups": groups}


def list_members(slack: Slack, call: Call) -> JSON:
    """usergroups.users.list."""
    group = slack.usergroups.get(call.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group[1])}


METHODS = {
    "usergroups.list": list_groups,
    "usergroups.users.list": list_members,
}
