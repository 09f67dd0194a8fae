"""Two months of a small company's Slack: alerts, triage, questions, deploys and chatter.

Everything is composed from the files under `data/`, with moments drawn from a seed: the same seed and the
same `now` give the same messages. What stands in those files was written for this demo.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import yaml

from sandbox.data_alerts import Alert, Firing, Payload, render_alert
from sandbox.data_schedule import DAYS, WEEKS, business_weight, draw_moments, plan_firings, week_window
from sandbox.slack.records import JSON
from sandbox.workspace import Workspace

DATA = Path(__file__).parent / "data"
DOCS = DATA / "docs"
FREEZE_HOUR = 14
FRIDAY = 4
INCIDENT_ROOM_MEMBERS = ("platform-lead", "sre-1")
TOPICS = {
    "ops-alerts": "Alerts of production, triage in the threads",
    "help-platform": "Questions to the platform team",
    "deploys": "What goes to production",
    "general": "Everything else",
    "incident-room": "Private: one incident, few people",
}


@dataclass(frozen=True)
class DemoWorkspace:
    """Where things are after `load_demo`: ids by name, the folder of the handbook's pages, and the canary.

    The canary is a phrase that occurs in the private #incident-room only.
    """

    channels: dict[str, str]
    users: dict[str, str]
    docs: Path
    canary: str


@dataclass
class Post:
    """A message to come: top level, or below `parent`; `edited` replaces its content later on."""

    at: datetime
    channel: str
    payload: Payload
    user: str | None = None
    parent: "Post | None" = None
    reactions: dict[str, list[str]] | None = None
    edited: tuple[datetime, Payload] | None = None
    ts: str = ""


def load_demo(workspace: Workspace, now: datetime, seed: int = 7) -> DemoWorkspace:
    """Fill a workspace with the demo company's 62 days up to `now` (with its time zone).

    The workspace's own bot becomes a member of every channel. Takes well under a second.
    """
    users = {
        name: workspace.add_user(name, real_name=title, email=f"{name}@example.com").id
        for name, title in _load("users.yaml").items()
    }
    founded = int((now - timedelta(days=DAYS + 1)).timestamp())
    channels: dict[str, str] = {}
    for name, topic in TOPICS.items():
        private = name == "incident-room"
        people = [users[member] for member in (INCIDENT_ROOM_MEMBERS if private else users)]
        channels[name] = workspace.add_channel(
            name,
            is_private=private,
            members=[*people, workspace.bot_user_id],
            creator=users["platform-lead"],
            topic=topic,
            purpose=topic,
            created=founded,
        ).id
    chatter = _load("chatter.yaml")
    room = chatter["incident_room"]
    random = Random(f"{seed}/people")
    posts = [
        *_alerts(now, seed),
        *_noise(now, random),
        *_help(now, random),
        *_deploys(chatter, now, random),
        *_general(chatter["general"], now, random),
        *_incident_room(room["messages"], now, random),
    ]
    _store(workspace, posts, channels, users)
    return DemoWorkspace(channels=channels, users=users, docs=DOCS, canary=room["canary"])


def _load(name: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((DATA / name).read_text(encoding="utf-8"), Loader=loader)  # noqa: S506


def _alerts(now: datetime, seed: int) -> Iterator[Post]:
    firings: dict[tuple[str, int, int], Firing] = {}
    for entry in _load("alerts.yaml"):
        lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
        alert = Alert(**(entry | lists))
        firings |= {(alert.name, f.week, f.nth): f for f in plan_firings(alert, now, seed)}
    threads = [thread for file in sorted((DATA / "threads").glob("*.yaml")) for thread in _load(f"threads/{file.name}")]
    for thread in threads:
        key = (thread["alert"], thread["week"], thread["nth"])
        # What people say in the thread has to fit the numbers of the alert above it.
        instances = (thread["instance"],) if "instance" in thread else firings[key].instances
        firings[key] = replace(firings[key], value=thread.get("value", firings[key].value), instances=instances)
    parents: dict[tuple[str, int, int], Post] = {}
    for key, firing in firings.items():
        post = Post(firing.started, "ops-alerts", render_alert(firing, "firing"))
        parents[key] = post
        yield post
        if firing.ended is None:
            continue
        resolved = render_alert(firing, "resolved")
        if firing.alert.edited_in_place:
            post.edited = (firing.ended, resolved)
        else:
            yield Post(firing.ended, "ops-alerts", resolved)
    random = Random(f"{seed}/triage")
    for thread in threads:
        parent = parents[thread["alert"], thread["week"], thread["nth"]]
        replies = thread["replies"]
        parent.reactions = {"eyes": [next(iter(replies[0]))]}
        yield from _replies(parent, replies, now, random)


def _replies(parent: Post, replies: list[dict[str, str]], now: datetime, random: Random) -> Iterator[Post]:
    longest = (now - parent.at) / (len(replies) + 1)
    moment = parent.at
    for reply in replies:
        moment += min(timedelta(minutes=random.uniform(1.5, 9)), longest)
        ((user, text),) = reply.items()
        yield Post(moment, parent.channel, Payload("", text), user=user, parent=parent)


def _noise(now: datetime, random: Random) -> Iterator[Post]:
    noise = _load("noise.yaml")
    whole = (now - timedelta(days=DAYS), now - timedelta(hours=1))
    for index, moment in enumerate(draw_moments(random, 64, whole, weight=business_weight)):
        entry = noise["bots"][random.randrange(len(noise["bots"]))]
        number = 300 + 3 * index
        attachments: list[JSON] | None = None
        if "title" in entry:
            title, repo = entry["title"].format(n=number), entry["repo"]
            kind = "issues" if entry["verb"].startswith("Issue") else "pull"
            attachments = [
                {
                    "color": entry["color"],
                    "pretext": entry["verb"],
                    "title": title,
                    "title_link": f"https://github.com/{repo}/{kind}/{number}",
                    "fallback": f"[{repo}] {title}",
                    "footer": f"<https://github.com/{repo}|{repo}>",
                    "ts": int(moment.timestamp()),
                    "mrkdwn_in": ["text"],
                }
            ]
        text = entry["text"].format(n=_minor_version(moment, now))
        yield Post(moment, "ops-alerts", Payload(entry["bot"], text, attachments))
    people = noise["people"]
    on_call = ("oncall-a", "oncall-b", "platform-lead", "sre-1")
    for index, moment in enumerate(draw_moments(random, 3 * len(people), whole, weight=business_weight)):
        payload = Payload("", people[index % len(people)])
        yield Post(moment, "ops-alerts", payload, user=random.choice(on_call))


def _help(now: datetime, random: Random) -> Iterator[Post]:
    questions = _load("help.yaml")
    whole = (now - timedelta(days=DAYS), now - timedelta(hours=2))
    moments = draw_moments(random, len(questions), whole, weight=business_weight)
    for moment, entry in zip(moments, questions, strict=True):
        ((user, text),) = entry["ask"].items()
        question = Post(moment, "help-platform", Payload("", text), user=user)
        yield question
        yield from _replies(question, entry["answers"], now, random)


def _deploys(chatter: dict[str, Any], now: datetime, random: Random) -> Iterator[Post]:
    def weight(moment: datetime) -> float:
        frozen = moment.weekday() > FRIDAY or (moment.weekday() == FRIDAY and moment.hour >= FREEZE_HOUR)
        return 0.0 if frozen else business_weight(moment)

    for week in reversed(range(WEEKS)):
        releases = chatter["deploys"]
        for moment, release in zip(
            draw_moments(random, len(releases), week_window(week, now), weight=weight), releases, strict=True
        ):
            version = release["version"].format(n=_minor_version(moment, now))
            text = random.choice(chatter["outcomes"]).format(**(release | {"version": version}))
            yield Post(moment, "deploys", Payload("Deploy Bot", text))


def _minor_version(moment: datetime, now: datetime) -> int:
    weeks_ago = (now - moment) // timedelta(days=7)
    return 38 + 2 * (WEEKS - 1 - weeks_ago)


def _general(lines: list[str], now: datetime, random: Random) -> Iterator[Post]:
    whole = (now - timedelta(days=DAYS), now - timedelta(hours=1))
    for moment, text in zip(draw_moments(random, len(lines), whole, weight=business_weight), lines, strict=True):
        user = random.choice(("support-1", "platform-lead", "payments-dev", "search-dev"))
        yield Post(moment, "general", Payload("", text), user=user)


def _incident_room(messages: list[Any], now: datetime, random: Random) -> Iterator[Post]:
    window = (now - timedelta(days=5), now - timedelta(hours=6))
    for moment, entry in zip(draw_moments(random, len(messages), window), messages, strict=True):
        post = Post(moment, "incident-room", Payload("", entry["text"]), user=entry["user"])
        yield post
        yield from _replies(post, entry["replies"], now, random)


def _store(workspace: Workspace, posts: list[Post], channels: dict[str, str], users: dict[str, str]) -> None:
    for number, post in enumerate(sorted(posts, key=lambda post: post.at)):
        # The six digits count the messages, so that no two of a channel share a ts.
        post.ts = f"{int(post.at.timestamp())}.{number:06d}"
        bot = workspace.add_bot(post.payload.bot) if post.payload.bot else None
        message = workspace.add_message(
            channels[post.channel],
            post.payload.text,
            user=users[post.user] if post.user else None,
            ts=post.ts,
            thread_ts=post.parent.ts if post.parent else None,
            subtype="bot_message" if bot else None,
            bot_id=bot.id if bot else None,
            app_id=bot.app_id if bot else None,
            username=bot.name if bot else None,
            attachments=post.payload.attachments,
            blocks=post.payload.blocks,
            reactions={name: [users[user] for user in who] for name, who in (post.reactions or {}).items()},
        )
        if post.edited:
            at, payload = post.edited
            edit_ts = f"{int(at.timestamp())}.000000"
            message.edits.append({"text": message.text, "attachments": message.attachments, "ts": edit_ts})
            message.text = payload.text
            message.attachments, message.blocks = payload.attachments, payload.blocks
            message.edited = {"user": message.bot_id, "ts": edit_ts}
