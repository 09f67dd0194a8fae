"""Messages of our own wording, in the shapes in which monitoring tools and other bots post them.

Each is (system, poster's name, message, what it says): action, then the accepted names and services where the
message gives them, and the priority where it states one.
"""

OPEN, CLOSE, NONE = "open_incident", "close_incident", "none"


def att(**fields):
    return {"attachments": [fields]}


def field(title, value):
    return {"title": title, "value": value, "short": True}


def section(text):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def fields(*texts):
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in texts]}


def header(text):
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def context(text):
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def kuma(text, color, message):
    block = fields(f"*Message*\n{message}", "*Time (UTC)*\n2024-06-03 10:00:01")
    return {"text": text, "attachments": [{"color": color, "blocks": [header("Uptime Kuma Alert"), block]}]}


def kuma_new(name, color, state, message):
    blocks = [header(name), fields(f"*Message*\n[{name}] [{state}] {message}", "*Time (UTC)*\n2024-06-03 10:00:01")]
    return {"text": f"{name}\n[{name}] [{state}] {message}", "attachments": [{"color": color, "blocks": blocks}]}


# fmt: off
ALERTS = [
    ("uptime-kuma", "Uptime Kuma", kuma("Uptime Kuma Alert\n[Basket API] [🔴 Down] connect ECONNREFUSED 10.0.0.4:443", "#e01e5a", "[Basket API] [🔴 Down] connect ECONNREFUSED 10.0.0.4:443"), OPEN, {"Basket API"}, {"Basket API"}, None),
    ("uptime-kuma", "Uptime Kuma", kuma("Uptime Kuma Alert\n[Basket API] [✅ Up] 200 - OK", "#2eb886", "[Basket API] [✅ Up] 200 - OK"), CLOSE, {"Basket API"}, {"Basket API"}, None),
    ("uptime-kuma", "Status", kuma_new("Search page", "#e01e5a", "🔴 Down", "Request failed with status code 502"), OPEN, {"Search page"}, {"Search page"}, None),
    ("uptime-kuma", "Status", kuma_new("Search page", "#2eb886", "✅ Up", "200 - OK"), CLOSE, {"Search page"}, {"Search page"}, None),
    ("healthchecks", "Healthchecks.io", att(color="danger", fallback='The check "Nightly export" is DOWN.', title="“Nightly export” is DOWN.", fields=[field("Project", "Warehouse"), field("Period", "1 day"), field("Last Ping", "Success, 1 day ago"), field("Total Pings", "412")]), OPEN, {"Nightly export"}, {"Warehouse", "Nightly export"}, None),
    ("healthchecks", "Healthchecks.io", att(color="good", fallback='The check "Nightly export" is UP.', title="“Nightly export” is UP.", fields=[field("Project", "Warehouse"), field("Last Ping", "Success, now"), field("Total Pings", "413")]), CLOSE, {"Nightly export"}, {"Warehouse", "Nightly export"}, None),
    ("healthchecks", "Healthchecks.io", {"text": "", "attachments": [{"color": "#d9534f", "blocks": [section("*<https://hc.example/checks/1|Invoice sync>* is *DOWN* (success signal did not arrive on time, grace time passed)."), fields("*Project:* Billing", "*Period:* 5 minutes", "*Last Ping:* 20 minutes ago")]}]}, OPEN, {"Invoice sync"}, {"Billing", "Invoice sync"}, None),
    ("robusta", "Robusta", {"text": "KubePodCrashLooping", "blocks": [section("🔥 `firing` 🔴 `high` <https://platform.example/i|*Crashing pod basket-7d9f in namespace shop*>"), section("*Source:* `prod-eu`"), section("🚨 *Alert:* basket-7d9f restarts all the time")]}, OPEN, {"Crashing pod basket-7d9f in namespace shop", "KubePodCrashLooping"}, None, "HIGH"),
    ("robusta", "Robusta", {"text": "[RESOLVED] KubeDeploymentReplicasMismatch", "blocks": [section("✅ `resolved` 🟡 `low` <https://platform.example/i|*KubeDeploymentReplicasMismatch*>"), section("*Source:* `prod-eu`")]}, CLOSE, {"KubeDeploymentReplicasMismatch"}, None, "LOW"),
    ("robusta", "Robusta", {"text": "HighCPU", "blocks": [header("🔴 Alert firing: HostHighCpu"), section("*Severity:* High"), section("*Namespace:* shop"), section("*Cluster:* prod-eu")]}, OPEN, {"HostHighCpu"}, {"shop"}, "HIGH"),
    ("datadog", "Datadog", att(color="#a30200", title="Triggered: [P2] [prod] CPU usage > 90% (95.2%) on {host:web-7}", text="@slack-ops\n\nThe average of CPU was too high.\n\nNotified: @slack-ops", fallback="Triggered: CPU usage"), OPEN, {"[prod] CPU usage", "CPU usage > 90%"}, {"web-7"}, "HIGH"),
    ("datadog", "Datadog", att(color="#2eb886", title="Recovered: [P2] Queue is not drained on service:basket", text="@slack-ops"), CLOSE, {"Queue is not drained"}, {"basket"}, None),
    ("datadog", "Datadog", att(color="warning", title="Warn: Disk is nearly full", text="disk in use > 80\nTags: env:prod, host:db-2, service:ledger"), OPEN, {"Disk is nearly full"}, {"ledger"}, "LOW"),
    ("datadog", "Datadog", att(color="danger", title="No data: Heartbeat of the importer on host:imp-1", text="no data for 10 minutes"), OPEN, {"Heartbeat of the importer"}, {"imp-1"}, None),
    ("datadog", "Datadog", att(color="danger", title="Re-Triggered: Slow checkout", text="p95 > 2s"), OPEN, {"Slow checkout"}, None, None),
    ("datadog", "Datadog", {"text": "", "attachments": [{"color": "#e01e5a", "blocks": [section("*<https://app.example/monitors/1|[Triggered] Error rate of basket is high>*"), section("More than 5% of requests failed."), fields("*Monitor*\nError rate of basket is high", "*Tags*\nenv:prod, service:basket")]}]}, OPEN, {"Error rate of basket is high"}, {"basket"}, None),
    ("pagerduty", "PagerDuty", att(color="#d9534f", fallback="Triggered #4711: Disk full on db-1", title="Triggered #4711: Disk full on db-1", fields=[field("Service", "ledger-db"), field("Urgency", "High"), field("Assigned", "oncall-a")]), OPEN, {"Disk full on db-1"}, {"ledger-db"}, "HIGH"),
    ("pagerduty", "PagerDuty", att(color="#34a853", title="Resolved #4711: Disk full on db-1", fields=[field("Service", "ledger-db"), field("Resolved by", "oncall-a")]), CLOSE, {"Disk full on db-1"}, {"ledger-db"}, None),
    ("pagerduty", "PagerDuty", {"text": "Incident #8812 triggered: Basket latency above 2 s", "blocks": [section(":red_circle: *Triggered*  <https://x.pagerduty.example/incidents/Q1|#8812 Basket latency above 2 s>"), fields("*Service:*\n<https://x.pagerduty.example/s|basket>", "*Urgency:*\nLow"), context("Assigned to oncall-a")]}, OPEN, {"Basket latency above 2 s"}, {"basket"}, "LOW"),
    ("opsgenie", "Opsgenie", att(color="#F4511E", title="#231: Replication is behind", pretext="New alert created", fields=[field("Priority", "P1"), field("Tags", "db"), field("Source", "ledger-db"), field("Responders", "Platform")]), OPEN, {"Replication is behind"}, {"ledger-db"}, "HIGH"),
    ("opsgenie", "Opsgenie", att(color="#43A047", text='Alert #231 "Replication is behind" has been closed by oncall-a via web.', fields=[field("Priority", "P1")]), CLOSE, {"Replication is behind"}, None, None),
    ("opsgenie", "Opsgenie", {"text": "", "attachments": [{"title": "Opened: #77 [Prometheus] TargetMissing", "color": "danger", "fields": [field("Priority", "P3-Moderate"), field("Teams", "Core")]}]}, OPEN, {"[Prometheus] TargetMissing", "TargetMissing"}, None, "LOW"),
    ("sentry", "Sentry", att(color="#E03E2F", title="KeyError: 'basket_id'", title_link="https://sentry.io/organizations/x/issues/1/", text="shop.views in add_item", footer="BASKET-3F via Send to #alerts", fields=[field("Events", "12")]), OPEN, {"KeyError: 'basket_id'", "KeyError"}, {"BASKET", "basket", "BASKET-3F"}, None),
    ("sentry", "Sentry", {"text": "[basket] TypeError: cannot read 'total'", "attachments": [{"color": "#E03E2F", "blocks": [section(":red_circle: <https://sentry.io/organizations/x/issues/2/|*TypeError: cannot read 'total'*>\n```checkout.js in total```"), section("State: *New*   First Seen: *2 minutes ago*"), context("Project: <https://sentry.io/p|basket>    Alert: <https://sentry.io/a|Any new issue>    Short ID: BASKET-9Z")]}]}, OPEN, {"TypeError: cannot read 'total'", "TypeError"}, {"basket"}, None),
    ("sentry", "Sentry", {"text": "", "attachments": [{"color": "#FA4747", "blocks": [section("<https://sentry.io/alerts/1|*Critical: Failure rate of checkout*>\n4.2% failure rate in the last 10 minutes"), context("Started 2 minutes ago")]}]}, OPEN, {"Failure rate of checkout"}, None, "HIGH"),
    ("sentry", "Sentry", {"text": "", "attachments": [{"color": "#4DC771", "blocks": [section("<https://sentry.io/alerts/1|*Resolved: Failure rate of checkout*>\n0.2% failure rate in the last 10 minutes")]}]}, CLOSE, {"Failure rate of checkout"}, None, None),
    ("nagios", "nagios", {"text": "PROBLEM: web-3/HTTP is CRITICAL: connection refused"}, OPEN, {"HTTP"}, {"web-3"}, "HIGH"),
    ("nagios", "nagios", {"text": "RECOVERY: web-3/HTTP is OK: HTTP OK - 0.2 second response time"}, CLOSE, {"HTTP"}, {"web-3"}, None),
    ("nagios", "nagios", att(color="danger", title="PROBLEM Service Alert: web-3/Disk Space is WARNING", text="DISK WARNING - free space: / 800 MB"), OPEN, {"Disk Space"}, {"web-3"}, "LOW"),
    ("nagios", "Nagios", att(color="#CC0000", pretext="*Host Notification*", fields=[field("Notification Type", "PROBLEM"), field("Host", "web-4"), field("State", "DOWN"), field("Info", "PING CRITICAL - Packet loss = 100%")]), OPEN, {"web-4"}, {"web-4"}, None),
    ("icinga", "icinga2", att(color="danger", title="PROBLEM - load on web-3 is CRITICAL!", fields=[field("Hostname", "web-3"), field("Service", "load"), field("Event Severity", "CRITICAL"), field("Check Output", "load average: 12, 11, 10")]), OPEN, {"load"}, {"web-3"}, "HIGH"),
    ("icinga", "icinga2", att(color="good", title="RECOVERY - load on web-3 is OK!", fields=[field("Hostname", "web-3"), field("Service", "load"), field("Check Output", "load average: 1, 1, 1")]), CLOSE, {"load"}, {"web-3"}, None),
    ("zabbix", "Zabbix", att(color="#E45959", title="Problem: Free disk space is less than 10% on volume /data", text="Problem started at 10:01:02 on 2024.06.03", fields=[field("Host", "db-2"), field("Severity", "High"), field("Opdata", "9.1%")]), OPEN, {"Free disk space is less than 10% on volume /data"}, {"db-2"}, "HIGH"),
    ("zabbix", "Zabbix", att(color="#009900", title="Resolved in 5m 10s: Free disk space is less than 10% on volume /data", fields=[field("Host", "db-2"), field("Severity", "High"), field("Duration", "5m 10s")]), CLOSE, {"Free disk space is less than 10% on volume /data"}, {"db-2"}, None),
    ("zabbix", "zabbix", {"text": "PROBLEM: Zabbix agent is unreachable\nHost: app-9\nSeverity: Average\nTime: 10:00"}, OPEN, {"Zabbix agent is unreachable"}, {"app-9"}, "LOW"),
    ("uptimerobot", "UptimeRobot", att(color="#e74c3c", text="Monitor is DOWN: Shop front page ( https://shop.example ) - Reason: HTTP 503 - Service Unavailable"), OPEN, {"Shop front page"}, {"Shop front page"}, None),
    ("uptimerobot", "UptimeRobot", att(color="#2ecc71", text="Monitor is UP: Shop front page ( https://shop.example ). It was down for 5 minutes and 3 seconds."), CLOSE, {"Shop front page"}, {"Shop front page"}, None),
    ("pingdom", "Pingdom", att(color="#D63027", title="Shop front page is DOWN", text="https://shop.example - timeout since 10:02"), OPEN, {"Shop front page"}, {"Shop front page"}, None),
    ("pingdom", "Pingdom", {"text": ":white_check_mark: Shop front page is UP. It was down for 4m 12s"}, CLOSE, {"Shop front page"}, {"Shop front page"}, None),
    ("statuscake", "StatusCake", {"text": "Your site Shop front page (https://shop.example) went down"}, OPEN, {"Shop front page"}, {"Shop front page"}, None),
    ("statuspage", "Statuspage", att(color="#e74c3c", title="Investigating - Payments are delayed", text="We are looking into delayed payments.", fields=[field("Components", "Payments API"), field("Impact", "Major")]), OPEN, {"Payments are delayed"}, {"Payments API"}, "HIGH"),
    ("statuspage", "Statuspage", att(color="#2fcc66", title="Resolved - Payments are delayed", text="This incident has been resolved.", fields=[field("Components", "Payments API")]), CLOSE, {"Payments are delayed"}, {"Payments API"}, None),
    ("other-status-page", "GitHub Status", {"text": "*Incident with Actions*\nStatus: *Identified*\nComponents affected: Actions"}, OPEN, {"Incident with Actions"}, None, None),
    ("newrelic", "New Relic", att(color="#D0021B", title="[Critical] Apdex of basket is low", pretext="Incident opened", fields=[field("Policy", "Shop golden signals"), field("Condition", "Low apdex"), field("Priority", "CRITICAL"), field("State", "ACTIVATED")]), OPEN, {"Apdex of basket is low", "Low apdex", "Shop golden signals"}, None, "HIGH"),
    ("newrelic", "New Relic", att(color="#3DB87A", title="Issue closed: Apdex of basket is low", fields=[field("State", "CLOSED"), field("Priority", "CRITICAL")]), CLOSE, {"Apdex of basket is low"}, None, None),
    ("honeycomb", "Honeycomb", att(color="danger", title="Triggered: Slow traces of basket", text="The trigger fired: P99(duration_ms) > 1500"), OPEN, {"Slow traces of basket"}, None, None),
    ("honeycomb", "Honeycomb", att(color="good", title="Resolved: Slow traces of basket"), CLOSE, {"Slow traces of basket"}, None, None),
    ("rollbar", "Rollbar", att(color="#e74c3c", title="[Shop] production - New error: #318 NoMethodError: undefined method 'price'", text="10 occurrences"), OPEN, {"NoMethodError: undefined method 'price'", "New error: #318 NoMethodError: undefined method 'price'"}, None, None),
    ("bugsnag", "Bugsnag", att(color="#E03E2F", pretext="*New error* in *production* from *basket*", title="RuntimeError", text="no price given", fields=[field("Location", "price.rb:12"), field("Severity", "Error")]), OPEN, {"RuntimeError"}, {"basket"}, "HIGH"),
    ("checkly", "Checkly", att(color="#ef4444", title='Check "Basket flow" has failed', fields=[field("Location", "eu-west-1"), field("Response time", "3 s")]), OPEN, {"Basket flow"}, {"Basket flow"}, None),
    ("checkly", "Checkly", att(color="#22c55e", title='Check "Basket flow" has recovered'), CLOSE, {"Basket flow"}, {"Basket flow"}, None),
    ("betterstack", "Better Stack", {"blocks": [header("🔴 New incident: shop.example"), fields("*Cause:*\nStatus 502", "*Monitor:*\nshop.example"), context("Better Stack")]}, OPEN, {"shop.example"}, {"shop.example"}, None),
    ("betterstack", "Better Stack", {"blocks": [header("✅ Incident resolved: shop.example"), fields("*Cause:*\nStatus 502", "*Length:*\n5 minutes")]}, CLOSE, {"shop.example"}, {"shop.example"}, None),
    ("victorops", "VictorOps", att(color="#D63232", title="CRITICAL: Basket heartbeat lost", text="Incident #55 Routed to: Shop"), OPEN, {"Basket heartbeat lost"}, None, "HIGH"),
    ("victorops", "VictorOps", att(color="good", title="RECOVERY: Basket heartbeat lost", text="Incident #55"), CLOSE, {"Basket heartbeat lost"}, None, None),
    ("azure", "Azure Monitor", {"text": "HighCpuOfBasket: Fired", "attachments": [{"color": "#D22B2B", "blocks": [header("HighCpuOfBasket"), section("*Severity:* Sev1"), section("*Resource:* vm-basket-1")]}]}, OPEN, {"HighCpuOfBasket"}, {"vm-basket-1"}, "HIGH"),
    ("azure", "Azure Monitor", att(color="good", title="Azure Monitor alert 'HighCpuOfBasket' was resolved for 'vm-basket-1'", text="Severity: Sev1"), CLOSE, {"HighCpuOfBasket"}, {"vm-basket-1"}, None),
    ("gcp", "Google Cloud Monitoring", att(color="#DB4437", title="[ALERT] Uptime of basket failed", text="Uptime check failed on basket", fields=[field("Policy name", "Uptime of basket"), field("Condition name", "Failure of uptime check_id x"), field("State", "open")]), OPEN, {"Uptime of basket", "Uptime of basket failed", "Failure of uptime check_id x"}, None, None),
    ("gcp", "Google Cloud Monitoring", att(color="#0F9D58", title="[RESOLVED] Uptime of basket failed", fields=[field("Policy name", "Uptime of basket"), field("State", "closed")]), CLOSE, {"Uptime of basket", "Uptime of basket failed"}, None, None),
    ("prometheus-custom", "prometheus", att(color="danger", title=":fire: [FIRING:2] TargetDown :fire:", text="*Alert:* Two targets are gone - `critical`\n*Description:* basket is away\n*Details:*\n  • *alertname:* `TargetDown`\n  • *job:* `basket`\n  • *severity:* `critical`\n"), OPEN, {"TargetDown"}, {"basket"}, "HIGH"),
    ("prometheus-custom", "prometheus", att(color="good", title="✅ [RESOLVED] TargetDown", text="*Alert:* Two targets are gone - `critical`\n  • *job:* `basket`\n"), CLOSE, {"TargetDown", "Two targets are gone - critical", "Two targets are gone"}, {"basket"}, None),
    ("prometheus-custom", "AlertManager", {"text": ":rotating_light: *BasketErrorsHigh* is firing\n*Summary:* errors of basket\n*Severity:* warning\n*Namespace:* shop"}, OPEN, {"BasketErrorsHigh"}, {"shop"}, "LOW"),
    ("prometheus-custom", "alertmanager", att(color="#439FE0", title="[RESOLVED] NodeLoad", text="*Environment:* prod\n*host:* web-5"), CLOSE, {"NodeLoad"}, {"web-5"}, None),
    ("cloudwatch-chatbot", "AWS", {"text": "", "attachments": [{"color": "#E01E5A", "blocks": [section(":rotating_light: *<https://console.example/cw|CloudWatch Alarm | basket-5xx | eu-west-1 | Account: 123456789012>*"), section("*Description*\nToo many 5xx\n*Reason*\nThreshold Crossed: 1 datapoint [12.0] was greater than the threshold (5.0)."), fields("*Alarm State*\nALARM", "*Namespace*\nAWS/ApplicationELB")]}]}, OPEN, {"basket-5xx"}, None, None),
    ("cloudwatch-chatbot", "AWS", {"text": "OK: \"basket-5xx\" in EU (Ireland)"}, CLOSE, {"basket-5xx"}, None, None),
    ("netdata", "netdata", att(color="danger", pretext="netdata alert", title="web-5 is critical, system.load (load), load_average_5 = 12.5", text="load average of 5 minutes"), OPEN, {"load_average_5", "load_average_5 = 12.5", "web-5 is critical, system.load (load), load_average_5 = 12.5", "system.load (load), load_average_5 = 12.5"}, None, "HIGH"),
    ("elastalert", "ElastAlert", att(color="danger", title="ElastAlert: Too many logins failed", text="at least 50 events between 10:00 and 10:05"), OPEN, {"Too many logins failed", "ElastAlert: Too many logins failed"}, None, None),
    ("botkube", "Botkube", {"blocks": [header("❗ v1/pods error"), fields("*Kind:* Pod", "*Name:* basket-7f", "*Namespace:* shop", "*Reason:* BackOff", "*Cluster:* prod")]}, OPEN, {"v1/pods error", "v1/pods", "basket-7f", "BackOff"}, {"shop", "basket-7f"}, None),
    ("sensu", "sensu", att(color="#FF0000", title="Description", text="CheckDisk CRITICAL: / 95% full", fields=[field("Status", "Critical"), field("Entity", "db-3"), field("Check", "check-disk")]), OPEN, {"check-disk"}, {"db-3"}, "HIGH"),
    ("sensu", "sensu", att(color="#00FF00", title="Description", text="CheckDisk OK", fields=[field("Status", "Resolved"), field("Entity", "db-3"), field("Check", "check-disk")]), CLOSE, {"check-disk"}, {"db-3"}, None),
    ("cronitor", "Cronitor", att(color="#e53935", title="🔥 Nightly export - Missed its schedule", text="No telemetry received"), OPEN, {"Nightly export", "Nightly export - Missed its schedule"}, None, None),
    ("freshping", "Freshping", {"text": "🔴 Check basket-api is *Not Responding* since 10:01 UTC"}, OPEN, {"basket-api"}, {"basket-api"}, None),
    ("squadcast", "Squadcast", att(color="#E63946", pretext="Incident Triggered", title="[#120] Basket cannot reach the ledger", fields=[field("Service", "basket"), field("Status", "Triggered"), field("Priority", "P2")]), OPEN, {"Basket cannot reach the ledger"}, {"basket"}, "HIGH"),
    ("plain-text", "monitor", {"text": "CRITICAL - queue of basket has 12000 messages"}, OPEN, {"queue of basket has 12000 messages"}, None, "HIGH"),
    ("plain-text", "monitor", {"text": "[OK] queue of basket"}, CLOSE, {"queue of basket"}, None, None),
    ("plain-text", "watchdog", {"text": "basket-db: DOWN"}, OPEN, {"basket-db"}, {"basket-db"}, None),
    ("plain-text", "watchdog", {"text": "basket-db: UP (downtime 3m)"}, CLOSE, {"basket-db"}, {"basket-db"}, None),
    ("color-only", "probe", att(color="danger", text="basket-2/open_files:9000", fallback="basket-2/open_files:9000"), OPEN, {"open_files"}, {"basket-2"}, None),
    ("color-only", "probe", att(color="good", text="Disk usage of ledger-db", fallback="Disk usage of ledger-db"), CLOSE, {"Disk usage of ledger-db"}, None, None),
    ("color-only", "probe", att(color="#ff0000", title="Certificate of shop.example expires in 3 days"), OPEN, {"Certificate of shop.example expires in 3 days"}, None, None),
]

OTHERS = [
    ("jenkins", "jenkins", att(color="danger", fallback="basket » main - #118 Failure after 3 min 2 sec", text="basket » main - #118 Failure after 3 min 2 sec (<https://ci.example/118|Open>)")),
    ("jenkins", "Jenkins CI", att(color="good", text="basket - #119 Back to normal after 2 min (<https://ci.example/119|Open>)")),
    ("jenkins", "ci", att(color="danger", text="FAILURE: Job 'basket/main [118]' (https://ci.example/118)")),
    ("jenkins", "ci", att(color="warning", text="basket - #12 Unstable after 40 sec")),
    ("jenkins", "ci", att(color="good", text="basket - #12 Still Failing after 40 sec (<https://ci.example|Open>)")),
    ("github-actions", "GitHub Actions", att(color="danger", title="CI failed", fields=[field("Workflow", "CI"), field("Branch", "main"), field("Commit", "abc1234")])),
    ("github-actions", "ci-bot", att(color="#ff0000", title="basket: Workflow run failed on main", fields=[field("Ref", "refs/heads/main")])),
    ("buildkite", "Buildkite", att(color="#36a64f", text="*basket* Build #118 Passed (3m)")),
    ("travis", "Travis CI", att(color="danger", text="Build <https://t.example|#118> (abc123) of acme/basket@main by dev-1 failed in 3 min")),
    ("argocd", "argo", {"text": ":exclamation: Application basket has degraded.", "attachments": [{"title": "basket", "color": "#f4c030", "fields": [field("Sync Status", "Synced"), field("Repository", "https://git.example/x")]}]}),
    ("terraform", "Terraform Cloud", att(color="#e53935", title="Run errored", text="basket-prod: apply errored")),
    ("dependabot", "deps", {"text": "Dependabot opened 3 pull requests in basket"}),
    ("deploys", "deployer", {"text": ":rocket: Deploying basket v1.2.3 to production"}),
    ("deploys", "shipit", att(color="good", text="basket was deployed to production by dev-2")),
    ("deploys", "shipit", att(color="danger", title="Deployment failed", text="basket to staging")),
    ("deploys", "heroku", {"text": "dev-1 deployed basket-prod: v118"}),
    ("reminders", "Reminder", {"text": "Reminder: rotate the on-call phone"}),
    ("reminders", "Slackbot", {"text": "Reminder: check the alerts channel before you leave."}),
    ("polls", "Simple Poll", {"text": "Which alert should we delete?", "blocks": [section("*Which alert should we delete?*"), section("1. DiskFull `3`"), section("2. HighLoad `1`")]}),
    ("standup", "Geekbot", {"text": "oncall-a posted an update for *Daily Standup*", "attachments": [{"color": "#ff0000", "title": "What did you do yesterday?", "text": "Fixed the DiskFull alert"}]}),
    ("reviews", "seal", {"text": "Good morning! Here are the pull requests that need a review today:\n1) basket: Fix the alert thresholds (2 days old)"}),
    ("calendar", "Google Calendar", att(color="#4285f4", title="Incident review starts in 10 minutes")),
    ("jira", "Jira Cloud", att(color="#ff991f", pretext="dev-1 created a Bug", title="OPS-12 Alert about disk is down")),
    ("jira", "tickets", {"text": "OPS-12 was moved to *Done* by dev-1"}),
    ("pagerduty", "PagerDuty", att(color="#f0ad4e", title="Acknowledged #4711: Disk full on db-1", fields=[field("Service", "ledger-db")])),
    ("pagerduty", "PagerDuty", {"text": "oncall-a acknowledged incident #4711: Disk full on db-1"}),
    ("pagerduty", "PagerDuty", {"text": "oncall-b is now on call for Platform until Monday 09:00"}),
    ("opsgenie", "Opsgenie", att(color="#888888", text='oncall-a acknowledged alert #231 "Replication is behind"')),
    ("opsgenie", "Opsgenie", {"text": "oncall-a added a note to alert #231: looking into it"}),
    ("opsgenie", "Opsgenie", {"text": 'Alert #231 "Replication is behind" was snoozed until 10:30'}),
    ("nagios", "nagios", {"text": "ACKNOWLEDGEMENT: web-3/HTTP is CRITICAL: connection refused (oncall-a)"}),
    ("nagios", "nagios", {"text": "DOWNTIMESTART: web-3/HTTP is OK"}),
    ("nagios", "nagios", {"text": "DOWNTIMEEND - web-3 is UP"}),
    ("nagios", "nagios", {"text": "FLAPPINGSTART: web-3/HTTP is WARNING"}),
    ("icinga", "icinga2", att(color="#0044ff", title="ACKNOWLEDGEMENT - load on web-3 is CRITICAL!", fields=[field("Hostname", "web-3"), field("Service", "load")])),
    ("statuspage", "Statuspage", att(color="#3498db", title="Scheduled - Maintenance of the payments database", text="We will do maintenance on Sunday")),
    ("statuspage", "Statuspage", att(color="#2fcc66", title="Completed - Maintenance of the payments database", text="The scheduled maintenance has been completed.")),
    ("uptime-kuma", "Uptime Kuma", {"text": "Basket API Testing"}),
    ("zabbix", "Zabbix", att(title="Updated problem in 2m: Free disk space is less than 10%", text="oncall-a acknowledged problem at 10:00", fields=[field("Host", "db-2")])),
    ("chat", "helper", {"text": "I think the alert about basket is resolved now, thanks!"}),
    ("chat", "faq-bot", {"text": "Who is on call? See the schedule."}),
    ("chat", "faq-bot", {"text": "You can silence an alert for two hours with the button below."}),
    ("chat", "welcome", {"text": "Welcome to #ops! Please read the pinned runbook for alerts."}),
    ("chat", "lunch-bot", {"text": "Lunch is ready :tada:"}),
    ("digest", "Alert report", {"text": "Weekly report: 14 alerts fired, 13 resolved"}),
    ("digest", "Datadog", att(color="#632ca6", title="Weekly digest of your monitors", text="3 monitors triggered 14 times")),
    ("backup", "backup", att(color="good", text="Backup of ledger-db completed in 12 minutes")),
    ("rss", "News", att(color="#36a64f", title="How we cut CPU usage by 40%", text="A story about latency and errors")),
    ("sales", "Stripe", att(color="good", title="New payment", text="$120 from acme", fields=[field("Status", "Succeeded")])),
    ("support", "Zendesk", att(color="#e53935", title="New ticket: shop is down", text="from a customer", fields=[field("Priority", "High"), field("Status", "New")])),
    ("join", "Slack", {"text": "oncall-a has joined the channel"}),
    ("feature-flags", "LaunchDarkly", {"text": "dev-1 turned on the flag *new-basket* in production"}),
    ("monitor-changes", "Datadog", {"text": "dev-1 muted the monitor Disk is nearly full for 2 hours"}),
    ("release", "releases", att(color="#36a64f", title="Release v1.2.3", text="Fixes errors and timeouts in the basket")),
]
