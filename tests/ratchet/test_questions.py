"""Which messages count as questions to everybody."""

import pytest

from ratchet.help_channels.questions import is_question


@pytest.mark.parametrize(
    "text",
    [
        "How do I rotate the API keys?",
        "hi all, how do I get access to the staging database?",
        "Hello team! Where are the deploy docs",
        "Good morning everyone, is there a way to restart a single pod?",
        "My build fails with `error: ENOENT?`. What can I do about it?",
        "does anyone know why the nightly job is red",
        "@here what is the on-call number for payments?",
        "The docs at https://wiki.example/page?id=3 are old. Which version of the client should I use?",
        "I get this:\n```\nTraceback?\n```\nhow can I fix that?",
        "could someone grant me access to the billing dashboard",
        "Is it safe to delete the old replica (db-3)?",
        "mail ops@example.com or open a ticket?",
        "What's the retention of audit logs, and who can change it?",
        "Wie bekomme ich Zugriff auf das Dashboard?",
    ],
)
def test_questions(text):
    assert is_question(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "really?",
        "hi all!",
        "Good morning everyone, how are you?",
        "hey team, how's it going?",
        "What's up folks?",
        "lunch anyone? high time",
        "anyone up for coffee at three?",
        "Deployed checkout 1.4.2 to production.",
        "I will look at the dashboards tomorrow and report back",
        "@oncall-b can you look at the build?",
        "hey <@U123ABC> where are the docs?",
        "<!subteam^S123|@sre> how do I restart it?",
        "thanks @oncall-a, how did you do it?",
        "see https://wiki.example/page?id=3 for the runbook of it",
        "> how do I restart the pods?\nanswered in the other thread",
        "&gt; how do I restart the pods?\nanswered in the other thread",
        "`select a from b where c = ?` runs in prod now",
        "```\nhow do I know?\n```",
        "how " * 2000,
    ],
)
def test_what_is_none(text):
    assert not is_question(text)
