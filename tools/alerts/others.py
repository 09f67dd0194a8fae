"""What bots write that is no alert: deliveries, reviews, reminders, chat, and what people do about alerts."""

from __future__ import annotations

import re
from typing import Literal

from tools.alerts.document import Document

Verdict = Literal["never", "unless stated", ""]

# Systems that never report alerts of their own. Their names stand alone or begin the poster's name.
POSTERS = re.compile(
    r"^(?:github(?! alert| status)|bitbucket|jenkins|circle ?ci|travis|build-?kite|drone|teamcity|"
    r"codefresh|semaphore|argo ?cd|"
    r"argo|flux|spinnaker|octopus|vercel|netlify|heroku|dependabot|renovate|snyk|codecov|sonar|jira|confluence|"
    r"linear|asana|trello|notion|google (?:calendar|drive|docs)|outlook|zoom|giphy|polly|simple poll|geekbot|standup|"
    r"standuply|donut|hey ?taco|slackbot|reminder|terraform|atlantis|gerrit|phabricator|azure ?(?:devops|pipelines)|"
    r"bamboo|concourse|gocd|harness|screwdriver|tekton|woodpecker|gitea|deploy|release|workflow|the seal|seal|"
    r"angry seal|dependapanda|changelog|rss|feed|news|hacker ?news|reddit|twitter|zendesk|intercom|hubspot|"
    r"salesforce|doodle|calendly)"
    r"(?:$|[\W_]|bot\b)",
    re.IGNORECASE,
)
# A first line of this kind tells of a delivery, of a review, of a meeting, or of what somebody did.
SENTENCES = re.compile(
    r"""
      \b(?:pull|merge)[ ]requests?\b | \bPR[ ]?\#\d | \bnew[ ]commits?\b | \bcommits?[ ](?:pushed|to|by|on)\b
    | \b(?:pushed|merged|rebased|cherry-picked)[ ](?:to|into|by|from|branch)\b
    | \b(?:created|deleted)[ ]branch\b
    | \bbranch[ ](?:created|deleted)\b | \bpipelines?[ ]\#?\d
    | \bpipeline\b.{0,60}\b(?:passed|failed|succeeded|cancell?ed)
    | \bworkflows?\b.{0,80}\b(?:passed|failed|failure|succeeded|success|cancell?ed|completed|run|hold|approval)
    | \b(?:build|job|stage|test(?:s|[ ]suite)?|suite|lint|run|plan|apply)[ ]?(?:[\#\w./-]{1,60}[ ]){0,4}?
      (?:has[ ]|was[ ]|is[ ]|have[ ]|now[ ])?(?:passed|failed|failing|failure|succeeded|
      successful(?:ly)?|success|aborted|cancell?ed|
      started|broken|errored|unstable|fixed|finished|completed|queued|on[ ]hold|needs[ ]approval)\b
    | \b(?:successful|failed|broken|passing|failing)[ ](?:builds?|jobs?|deployments?|deploys?|runs?|pipelines?|tests?)\b
    | \b(?:starting|started|finished|completed|cancell?ed|requested|approved|rolled[ ]back)[ ](?:a[ ])?deploy
    | ^deploy(?:ed|ing|s|ment)?\b
    | \bdeploy(?:ed|ing|ment)?\b.{0,80}\b(?:succeeded|success(?:ful(?:ly)?)?|failed|failure|started|
      finished|complete[d]?|to[ ](?:prod|stag|dev|qa|test)\w*|in[ ]progress|up|live|cancell?ed|approved)\b
    | \bis[ ](?:now[ ])?(?:being[ ])?deployed\b | \b(?:has|have|was|were)[ ]been[ ]deployed\b
    | \bsync[ ](?:operation|status)\b | \b(?:successfully[ ])?synced\b | \brunning[ ]new[ ]version\b
    | \bout[ ]?of[ ]?sync\b
    | \brollouts?[ ](?:of[ ]|to[ ])?.{0,40}(?:complete|started|finished|paused|aborted) | \brolled[ ]out\b
    | \breleas(?:e|ed|ing)[ ](?:-[ ]|v?\d|of[ ]|notes|candidate|published|is[ ]out|created) | \bnew[ ]release\b
    | \bversion[ ]v?\d[\w.]*[ ](?:is|has|was|released)
    | \b(?:published|tagged)[ ](?:a[ ]|version|release|v?\d) | \bchangelog\b
    | \bterraform[ ](?:plan|apply|run|cloud) | \brun[ ](?:planned|applied|errored|needs|created|discarded)
    | ^(?:re)?minder\b | ^\W*reminder\b | \bdon'?t[ ]forget\b | \bstand-?up\b | \bretro(?:spective)?\b
    | \bstarts[ ]in[ ]\d+[ ]min
    | \bmeeting\b | \bcalendar\b | \bpoll\b | \bvot(?:e|es|ed|ing)\b | \bsurvey\b | \bbirthday\b
    | \banniversary\b | \bwelcome[ ]to\b
    | \bhas[ ]joined\b | \bgood[ ](?:morning|afternoon|evening)\b | \bhappy[ ](?:monday|friday|new) | \blunch\b
    | \bdigest\b
    | \bquality[ ]gate\b | \bcoverage[ ](?:in|de)creased\b | \b(?:renewed|rotated|uploaded|provisioned)\b
    | \b(?:daily|weekly|monthly|morning|hourly|nightly|quarterly)[ ](?:summary|report|digest|recap|overview|
      update|stand)
    | \b(?:summary|report|recap)[ ](?:for|of)[ ](?:the[ ])?(?:\d|last|this|past|today|yesterday|week|month|day|incident)
    | \b(?:is|are)[ ](?:now[ ]|currently[ ])?on[ -]call\b
    | \bon-?call[ ](?:shift|handoff|handover|schedule|rotation|change|now|this[ ]week|today|:)
    | \bnow[ ]on[ -]?call\b
    | \b(?:commented|comment)[ ]on\b | \badded[ ]a[ ](?:note|comment)\b
    | \bassigned[ ](?:to|issue|ticket|you|it)\b | \bmentioned[ ]you\b
    | \backnowledge[sd]?\b | \back'?ed\b | \bsnoozed?\b | \b(?:un)?muted?\b | \bsilenced?\b | \bsuppressed\b
    | \breassigned\b | \bescalated[ ]to\b
    | \bdowntimes?[ ](?:start|end|for|has|was|is|cancel|scheduled|removed|on|of|set)
    | \b(?:scheduled|planned)[ ](?:downtime|maintenance|for)\b
    | \bmaintenance[ ](?:window|mode|has|is|started|complete|in[ ]progress|begins|scheduled)
    | \bflapping[ ]?(?:start|stop|end|disabled)
    | \b(?:opened|closed|reopened|created|updated|moved|edited|assigned)
      [ ](?:issue[ ]\#?|an?[ ])?(?:ticket|task|story|bug|issue[ ]\#)\b
    | \b(?:ticket|task|story|bug|[A-Z]{2,10}-\d+)[ ](?:\#?\d+[ ])?(?:was[ ]|has[ ]been[ ]|is[ ])?
      (?:opened|closed|created|updated|assigned|moved|transitioned)\b
    | \bissue[ ](?:\#\d+[ ])?(?:opened|closed|reopened|created|updated|assigned)[ ]by\b
    | \bnew[ ](?:ticket|task|payment|lead|customer|user|sign-?up|order|comment|message)\b
    | \bjob[ ]['"]
    | \#\d+[ ](?:success|failure|back[ ]to[ ]normal|unstable|aborted|still|started|repeated|regression|not[ ]built)\b
    | \breview(?:ed|s|ers?)?[ ](?:requested|by|your|required|needed|this|please|approved)
    | \bapproved[ ](?:by|these|pull|the[ ]) | \bawaiting[ ](?:approval|review)\b
    | \bwaiting[ ]for[ ](?:approval|review)\b | \bneeds?[ ](?:your[ ])?(?:review|approval)\b
    | \b(?:test|testing|sample|example)[ ](?:notification|message|alert)\b | \bthis[ ]is[ ]a[ ]test\b
    | \bintegration[ ](?:added|removed|installed|configured|enabled)\b
    | \b(?:added|removed)[ ]an?[ ]integration\b | \bsubscribed[ ]to\b | \bnew[ ]monitor[ ](?:added|created)\b
    | \bbackup[s]?\b.{0,40}\b(?:complete[d]?|succeeded|successful(?:ly)?|finished|started)\b
    | \bpost-?mortem\b
    | \bincident[ ](?:review|retro|channel|commander|notes|report|summary|update[ ]reminder)\b
    | \bfeature[ ]flag\b | \bflag[ ]\S+[ ](?:was|is|turned)
    | \bvulnerabilit(?:y|ies)\b | \bCVE-\d{4}
    | \b\d+[ ](?:tests?[ ]|specs?[ ]|checks?[ ])?(?:passed|passing)\b
    | \w[ ]changed[ ](?:the[ ])?(?:severity|priority|assignee|owner|title|summary)\b
    | \bnew[ ](?:\w+[ ])?requests?\b(?![ ]?(?:rate|latency|error|timeout))
    | \b(?:down|up|ahead|lost|won)[ ]\d{1,3}-\d{1,3}\b | \bfor[ ]me[ ]too\b
    | \b(?:ticket|topic|deal|order)[ ]["'“]
    | \b(?:thanks|thank[ ]you|congrat(?:s|ulations)|kudos)\b
    | \bplease[ ](?:review|approve|update|fill|remember|vote|join)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
FIELDS = frozenset(
    {"branch", "commit", "commits", "repository", "repo", "revision", "sync status", "pull request", "author",
     "pipeline", "workflow", "tag", "changes", "committer", "build", "build number"}
)  # fmt: skip
STATED = re.compile(
    r"[\[(]\s*(?:firing|resolved|triggered|recovered|alerting|problem|recovery|alarm)\b|"
    r"^\W*(?:firing|resolved|triggered|re-triggered|recovered|problem|alarm|critical|warn|warning|no data)\s*:|"
    r"\balert(?:s)? (?:is |are |now |has been |have been )*(?:firing|resolved|triggered|recovered)\b",
    re.IGNORECASE,
)
ALERT_FIELDS = frozenset({"alertname", "alert name", "alarm name", "severity", "monitor", "old state", "current state",
                          "new state", "threshold", "trigger", "alert", "alarm", "runbook"})  # fmt: skip
ASKS = re.compile(r"\?\s*$|^\s*(?:hi|hello|hey|thanks|yes|lol|i |we |i'm |let's |who |what |why |how |when )\b", re.I)


def other_business(doc: Document) -> Verdict:
    """Whether a message is of another kind: ``never`` an alert, or none ``unless stated`` in an alert's own form."""
    if POSTERS.match(doc.username):
        return "never"
    heads = [line.plain for line in doc.headlines] + [line.plain for line in doc.lines[:2]]
    heads += [] if heads else [line.plain for line in doc.fallbacks[:1]]
    delivery = sum(key in FIELDS for key in {key for key, _ in doc.all_fields})
    if delivery >= 2 and not any(key in ALERT_FIELDS for key, _ in doc.all_fields):
        return "never"
    told = any(SENTENCES.search(head[:200]) for head in dict.fromkeys(heads))
    if told or delivery >= 2:
        stated = any(STATED.search(line) for line in heads) or any(key in ALERT_FIELDS for key, _ in doc.all_fields)
        return "unless stated" if stated else "never"
    if not doc.titles and not doc.colors and heads and ASKS.search(heads[0]):
        return "never"
    return ""
