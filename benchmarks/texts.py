"""Messages and questions of a made-up operations workspace: words as unevenly common as in real ones."""

from __future__ import annotations

from random import Random


def _phrases(text: str) -> list[str]:
    return " ".join(text.split()).split(" | ")


# Each list begins with what is said most.
SERVICES = _phrases(
    """checkout | payments | ledger | inventory | search-api | catalog | gateway | auth | notifier | mailer | ingest
    | billing-db | session-cache | geo | pricing | orders-worker | feed | recommender | exporter | scheduler
    | audit-log | media-store | edge-proxy | config-sync | quota | fraud-check | tax | loyalty | shipping"""
)
SYMPTOMS = _phrases(
    """timeouts | high latency | connection refused | connection pool exhausted | disk is full | replica lag | OOMKilled
    | CrashLoopBackOff | certificate expired | TLS handshake failure | too many open files | 5xx rate above threshold
    | queue backlog | deadlock detected | memory leak | CPU throttling | DNS lookup failures | rate limited by upstream
    | slow queries | consumer lag growing | readiness probe failed | image pull errors | clock skew | node not ready"""
)
ACTIONS = _phrases(
    """restarted the pods | rolled back the last deploy | scaled it to six replicas | raised the memory limit
    | drained the node | renewed the certificate | flushed the cache | failed over to the standby
    | killed the long transaction | added an index | increased the pool size | purged the queue
    | reverted the config change | paged the network team | opened a ticket with the provider
    | disabled the feature flag | cleaned up old logs | extended the volume"""
)
CHAT = _phrases(
    """looking into it | anyone else seeing this? | back to normal now | thanks, that helped
    | can someone review the change | I think it started after the deploy | dashboards look fine to me | lunch?
    | joining the call | will write it up tomorrow | is this related to what we saw last week?
    | the graphs have recovered | please hold deploys for now | same as on Monday | who owns this service?
    | muting the alert for an hour | I see errors in the logs but no impact | handing over to the next shift
    | the runbook is out of date | customers are reporting it too"""
)
ERRORS = _phrases(
    """ERR_CONN_RESET | ERR_POOL_EMPTY | E1042 | E2207 | E3310 | ORA-00060 | ETIMEDOUT | ECONNREFUSED | SIGKILL
    | HTTP_503 | X509_V | DEADLINE_EXCEEDED | RESOURCE_EXHAUSTED"""
)
ALERTS = _phrases(
    """HighLatency | DiskFull | PodCrashLooping | TargetDown | CertificateExpiry | ReplicaLag | QueueBacklog
    | ErrorBudgetBurn | MemoryPressure | NodeNotReady | ConnectionPoolExhausted | JobFailed"""
)
FILLER = _phrases(
    """again | still | since | now | maybe | probably | after | before | while | during | because | although | morning
    | night | region | cluster | canary | primary | customer | team | graph | dashboard | metric | release | version
    | config | change | ticket | call | update | status | impact | root | cause | fix | issue | problem | error
    | service | request | response | server | client | data | job | queue | cache | database"""
)


def message(random: Random, *, is_bot: bool) -> str:
    """One message, 20 to 600 characters."""
    service = _common(random, SERVICES)
    if is_bot:
        alert = f"{service.title().replace('-', '')}{_common(random, ALERTS)}"
        return (
            f"[{random.choice(['FIRING', 'RESOLVED'])}:{random.randint(1, 9)}] {alert} severity={_severity(random)}\n"
            f"{service}: {_common(random, SYMPTOMS)} on {_host(random, service)}, pod/{_pod(random, service)}\n"
            f"value {random.uniform(0, 100):.2f}, started {random.randint(0, 23):02}:{random.randint(0, 59):02} UTC"
        )
    match random.randrange(5):
        case 0:
            return f"{_common(random, CHAT)} {_filler(random, 4)}"
        case 1:
            return f"{service} has {_common(random, SYMPTOMS)} {_filler(random, 8)}, {_common(random, CHAT)}"
        case 2:
            return f"we {_common(random, ACTIONS)} of {service} and {_common(random, SYMPTOMS)} went away"
        case 3:
            return (
                f"`{_common(random, ERRORS)}` from {_host(random, service)} request {_hex(random, 12)} "
                f"after v{random.randint(1, 4)}.{random.randint(0, 30)}.{random.randint(0, 9)} {_filler(random, 10)}"
            )
        case _:
            return " ".join(
                f"{_common(random, CHAT)}: {service} {_common(random, SYMPTOMS)} {_filler(random, 12)}."
                for _ in range(random.randint(1, 4))
            )


def question(random: Random, kind: str) -> str:
    """What is searched for: a ``sentence``, an ``identifier``, or ``common words``."""
    service = _common(random, SERVICES)
    if kind == "sentence":
        return f"how did we fix {_common(random, SYMPTOMS)} in {service} {_filler(random, 2)}?"
    if kind == "identifier":
        return random.choice([_host(random, service), f"pod/{_pod(random, service)}", _common(random, ERRORS)])
    return f"{_filler(random, 2)} {_common(random, CHAT)}"


def _common(random: Random, words: list[str]) -> str:
    """One of the words, the first ones much more often."""
    return words[(int(random.paretovariate(0.7)) - 1) % len(words)]


def _filler(random: Random, count: int) -> str:
    return " ".join(_common(random, FILLER) for _ in range(count))


def _severity(random: Random) -> str:
    return random.choice(["critical", "warning", "info"])


def _host(random: Random, service: str) -> str:
    return f"{service}-{random.randint(1, 40)}.{random.choice(['eu-west-1', 'us-east-2', 'ap-south-1'])}.internal"


def _pod(random: Random, service: str) -> str:
    return f"{service}-{_hex(random, 9)}-{_hex(random, 5)}"


def _hex(random: Random, length: int) -> str:
    return "".join(random.choice("0123456789abcdef") for _ in range(length))
