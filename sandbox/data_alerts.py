"""The demo's alerts, written the way that eight alerting systems post them to Slack.

Each renderer takes an alert, one firing of it and the state, and returns the payload of the message.
Some systems leave `text` empty and put everything into attachments, some use Block Kit; that is so in life.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from sandbox.slack.records import JSON

State = Literal["firing", "resolved"]
ACCOUNT = "111122223333"
REGION = "eu-west-1"


@dataclass(frozen=True)
class Alert:
    """One rule of the demo company's monitoring; the fields are those of `data/alerts.yaml`."""

    name: str
    service: str
    system: str
    severity: str
    weekly: list[int]
    rhythm: str
    minutes: tuple[int, int]
    summary: str
    description: str = ""
    instances: tuple[str, ...] = ()
    values: tuple[str, ...] = ("",)
    okay: tuple[str, ...] = ("0",)
    folder: str = ""
    query: str = ""
    metric: str = ""
    threshold: str = ""
    below: bool = False
    culprit: str = ""
    short_id: str = ""
    edited_in_place: bool = False
    still_open: bool = False


@dataclass(frozen=True)
class Firing:
    """One time that an alert fired: `week` counts back from now, `nth` counts within that week."""

    alert: Alert
    week: int
    nth: int
    started: datetime
    ended: datetime | None
    value: str
    okay: str
    instances: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class Payload:
    """What a message consists of, besides its author."""

    bot: str
    text: str = ""
    attachments: list[JSON] | None = None
    blocks: list[JSON] | None = field(default=None)


def render_alert(firing: Firing, state: State) -> Payload:
    """The message in which the alert's own system says that it fires, or that it is over."""
    return _RENDERERS[firing.alert.system](firing, state)


def _moment(firing: Firing, state: State) -> datetime:
    return firing.ended if state == "resolved" and firing.ended else firing.started


def _description(firing: Firing) -> str:
    instance = " and ".join(firing.instances)
    return firing.alert.description.format(instance=instance, value=firing.value)


def _section(text: str) -> JSON:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> JSON:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _fields(**texts: str) -> JSON:
    entries = [{"type": "mrkdwn", "text": f"*{name}*\n{text}"} for name, text in texts.items()]
    return {"type": "section", "fields": entries}


def _buttons(*labels: str) -> JSON:
    buttons = [
        {
            "type": "button",
            "action_id": label.lower().replace(" ", "_"),
            "text": {"type": "plain_text", "text": label},
            "value": label.lower(),
        }
        for label in labels
    ]
    return {"type": "actions", "elements": buttons}


def _alertmanager(firing: Firing, state: State) -> Payload:
    alert = firing.alert
    head = f"[FIRING:{len(firing.instances)}]" if state == "firing" else "[RESOLVED]"
    instance = f"{firing.instances[0]} " if len(firing.instances) == 1 else ""
    title = f"{head} {alert.name} ({instance}{alert.service} {alert.severity})"
    link = "https://alertmanager.example.com/#/alerts?receiver=ops"
    attachment = {
        "title": title,
        "title_link": link,
        "text": f"*Summary:* {alert.summary}\n*Description:* {_description(firing)}",
        "fallback": f"{title} | {link}",
        "callback_id": "",
        "footer": "",
        "color": "danger" if state == "firing" else "good",
        "mrkdwn_in": ["fallback", "pretext", "text"],
    }
    return Payload("Alertmanager", attachments=[attachment])


def _grafana(firing: Firing, state: State) -> Payload:
    alert, instance = firing.alert, firing.instances[0]
    head = "FIRING:1" if state == "firing" else "RESOLVED"
    title = f"[{head}] {alert.name} {alert.folder} ({instance} {alert.service} {alert.severity})"
    url = f"https://grafana.example.com/alerting/grafana/{alert.name.lower()}/view?orgId=1"
    labels = {
        "alertname": alert.name,
        "grafana_folder": alert.folder,
        "instance": instance,
        "service": alert.service,
        "severity": alert.severity,
    }
    matchers = "".join(f"&matcher={quote(f'{name}={value}', safe='')}" for name, value in labels.items())
    lines = [
        "**Firing**" if state == "firing" else "**Resolved**",
        "",
        f"Value: A={firing.value if state == 'firing' else firing.okay}, C={int(state == 'firing')}",
        "Labels:",
        *(f" - {name} = {value}" for name, value in labels.items()),
        "Annotations:",
        f" - description = {_description(firing)}",
        f" - summary = {alert.summary}",
        f"Source: {url}",
        f"Silence: https://grafana.example.com/alerting/silence/new?alertmanager=grafana{matchers}",
        "",
    ]
    attachment = {
        "title": title,
        "title_link": url,
        "text": "\n".join(lines),
        "fallback": title,
        "footer": "Grafana v12.0.2",
        "color": "#D63232" if state == "firing" else "#36a64f",
        "ts": int(_moment(firing, state).timestamp()),
    }
    return Payload("Grafana", attachments=[attachment])


def _cloudwatch(firing: Firing, state: State) -> Payload:
    alert, firing_now = firing.alert, state == "firing"
    comparison = "less than or equal to" if alert.below else "greater than or equal to"
    point = _moment(firing, state).strftime("%d/%m/%y %H:%M:00")
    reason = (
        f"Threshold Crossed: 1 datapoint [{firing.value if firing_now else firing.okay} ({point})] was "
        f"{'' if firing_now else 'not '}{comparison} the threshold ({alert.threshold})."
    )
    icon = ":rotating_light:" if firing_now else ":white_check_mark:"
    title = f"{icon} CloudWatch Alarm | {alert.name} | {REGION} | Account: {ACCOUNT}"
    old, new = ("OK", "ALARM") if firing_now else ("ALARM", "OK")
    attachment = {
        "title": title,
        "title_link": f"https://console.aws.amazon.com/cloudwatch/home?region={REGION}#alarmsV2:alarm/{alert.name}",
        "text": f"{alert.summary}\n{reason}",
        "fallback": f"CloudWatch Alarm | {alert.name} | {REGION} | Account: {ACCOUNT}",
        "fields": [
            {"title": "State", "value": f"{old} → {new}", "short": True},
            {"title": "Metric", "value": alert.metric, "short": True},
        ],
        "color": "#d13212" if firing_now else "#1d8102",
        "mrkdwn_in": ["text"],
    }
    return Payload("Amazon Q Developer", attachments=[attachment])


def _pagerduty(firing: Firing, state: State) -> Payload:
    alert = firing.alert
    word = "Triggered" if state == "firing" else "Resolved"
    link = f"https://example.pagerduty.com/incidents/Q{firing.number:06d}"
    title = f"#{firing.number}: {alert.name}"
    service = f"<https://example.pagerduty.com/services/P{alert.service.upper()}|{alert.service}>"
    blocks = [
        _section(f"*{word}* <{link}|{title}>\n{alert.summary}"),
        _fields(Service=service, Urgency="High", Assigned="@oncall-a", Status=word),
    ]
    if state == "firing":
        blocks.append(_buttons("Acknowledge", "Resolve", "Add note"))
    color = "#F35A00" if state == "firing" else "#25C151"
    attachment = {"color": color, "fallback": f"{word} {title} ({alert.service})", "blocks": blocks}
    return Payload("PagerDuty", attachments=[attachment])


def _datadog(firing: Firing, state: State) -> Payload:
    alert, firing_now = firing.alert, state == "firing"
    title = f"{'Triggered' if firing_now else 'Recovered'}: {alert.name} on env:prod,service:{alert.service}"
    moment = _moment(firing, state).strftime("%a %b %d %Y %H:%M:%S UTC")
    attachment = {
        "title": title,
        "title_link": f"https://app.datadoghq.eu/monitors/{9100000 + len(alert.name)}?group=env%3Aprod",
        "text": (
            f"{alert.description}\n@slack-ops-alerts\n\n`{alert.query}`\n\n"
            f"Metric value: {firing.value if firing_now else firing.okay}\n"
            f"The monitor was last triggered at {moment}."
        ),
        "fallback": title,
        "fields": [
            {"title": "Tags", "value": f"env:prod, monitor, service:{alert.service}", "short": False},
            {"title": "Notified", "value": "@slack-ops-alerts", "short": True},
        ],
        "color": "danger" if firing_now else "good",
        "mrkdwn_in": ["text"],
    }
    return Payload("Datadog", attachments=[attachment])


def _sentry(firing: Firing, _state: State) -> Payload:
    alert = firing.alert
    message = alert.summary.format(value=firing.value)
    link = f"https://example.sentry.io/issues/{7000000 + len(alert.name)}/?project={alert.service}"
    blocks = [
        _section(f":red_circle: <{link}|*{alert.name}*>\n_{alert.culprit}_"),
        _section(f"```{message}```"),
        _context(f"Events: *{20 + firing.number % 400}*   State: *Escalating*   First Seen: *5 months ago*"),
        _buttons("Resolve", "Archive"),
        _context(f"Project: <{link}|{alert.service}>   Alert: many events   Short ID: {alert.short_id}"),
    ]
    return Payload("Sentry", text=f"[{alert.service}] {alert.name}: {message}", blocks=blocks)


def _uptime_kuma(firing: Firing, state: State) -> Payload:
    alert, down = firing.alert, state == "firing"
    message = f"[{alert.name}] " + (f"[🔴 Down] {firing.value}" if down else "[✅ Up] 200 - OK")
    time = _moment(firing, state).strftime("%Y-%m-%d %H:%M:%S")
    header = {"type": "header", "text": {"type": "plain_text", "text": "Uptime Kuma Alert"}}
    visit = {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "text": {"type": "plain_text", "text": "Visit site"},
                "value": "Site",
                "url": alert.summary,
            }
        ],
    }
    blocks = [header, _fields(**{"Message": message, "Time (UTC)": time}), visit]
    return Payload(
        "Uptime Kuma",
        text=message,
        attachments=[{"color": "#e01e5a" if down else "#2eb886", "fallback": message, "blocks": blocks}],
    )


_RENDERERS: dict[str, Callable[[Firing, State], Payload]] = {
    "alertmanager": _alertmanager,
    "grafana": _grafana,
    "cloudwatch": _cloudwatch,
    "pagerduty": _pagerduty,
    "datadog": _datadog,
    "sentry": _sentry,
    "uptime-kuma": _uptime_kuma,
}
