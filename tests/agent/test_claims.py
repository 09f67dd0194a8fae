"""What counts as a claim: sentences as models write them, labelled by hand."""

import pytest

from agent.claims import causes, claims, sentences

CLAIMS = [
    "HighErrorRate fired 14 times in #ops-alerts between 9 and 16 November.",
    "Postgres is down.",
    "The pool of `payments-api` was exhausted at 10:42 UTC.",
    "I found 14 alerts in #ops-alerts this week.",
    "I can see that the deploy of v2.3.1 began at 10:40.",
    "I can confirm that the rollback ended at 11:05.",
    "**HighErrorRate**: fired 14 times, resolved 13 times.",
    "Dana rolled back `payments-api` to v2.3.0.",
    "Yes, it fired 3 times today.",
    "Nobody has acknowledged the incident since 10:42, and checkout is failing.",
    "Restart failed on two of three nodes.",
    "Search latency rose to 900 ms after the deploy.",
    "Deploy v2.3.1 was rolled back by Dana.",
    "The root cause was a full disk on db-3.",
    "Most of them resolve by themselves within five minutes.",
    "The certificate of api.example.com expires on 3 December.",
    "This alert is not covered by any silence, so it pages at night.",
    "Sure, the database is read-only since 09:00 and writes fail.",
    "If the queue is longer than 10,000, consumers are restarted by the operator.",
    "Um 10:42 war der Verbindungspool erschöpft.",
    "Der Alarm wurde vierzehnmal ausgelöst und jedes Mal von selbst behoben.",
    "El servicio payments-api se reinició tres veces ayer por la tarde.",
    "決済サービス は 10時42分 に 3回 再起動 しました",
]
NO_CLAIMS = [
    "Hello!",
    "Hi Dana, good to see you.",
    "You're welcome.",
    "Done.",
    "Yes.",
    "Sure, one moment.",
    "Which channel do you mean, #ops or #ops-alerts?",
    "Do you want me to look further back?",
    "Should I restart it?",
    "Let me know if you need the whole thread.",
    "Tell me the name of the service, and I will look again.",
    "If you want, I can look at the week before.",
    "If you'd like more detail, ask for the thread.",
    "I could not read #payments: you are not a member of it.",
    "I searched #ops-alerts and #deploys over the last 7 days.",
    "I stopped at a limit of this turn; the deploys are still unchecked.",
    "I found nothing about OOMKilled in the last 24 hours.",
    "I have no tool that restarts services.",
    "I'm sorry, that did not work.",
    "Unfortunately, I cannot see private channels from here.",
    "Here is what people wrote in the last hour:",
    "Here are the five loudest alerts of the week.",
    "My search only covers channels that you may read.",
    "There are no alerts in #ops-alerts since yesterday.",
    "No messages mention v2.3.1 in the last 24 hours.",
    "Nothing was found for “certificate expired” in any channel.",
    "The documentation does not cover this.",
    "No root cause was named in the thread.",
    "The root cause is still unknown.",
    "The search for deploys timed out after 60 s.",
    "Restart the pod with `kubectl rollout restart deploy/payments-api`.",
    "Check whether the pool is exhausted.",
    "Then raise `max_connections` to 200.",
    "To confirm, run `SELECT count(*) FROM pg_stat_activity`.",
    "You can roll back with the button in the pipeline.",
    "We should raise the threshold to 5 minutes.",
    "I would suggest a silence of two hours.",
    "Next steps: ask the payments team for the deploy log.",
    "If it fires again, page the database team.",
    "It is worth looking at the deploy of 10:40 as well.",
    "Probably the connection pool was exhausted.",
    "My guess: the deploy of 10:40 broke the health check.",
    "I suspect that the disk filled up.",
    "It might have been the nightly backup.",
    "Hypothesis: the cache was cold after the restart.",
    "The disk may be full, but that is unconfirmed.",
    "Soll ich die Woche davor auch noch ansehen?",
    "Bitte sehr, Dana.",
    "¿Quiere que busque también en la semana anterior?",
]
CAUSES = [
    "The root cause was a full disk on db-3.",
    "It was caused by the deploy of v2.3.1.",
    "Checkout failed because of an expired certificate.",
    "The outage was due to a full disk.",
    "The likely cause is the new pool size.",
    "Probably caused by the nightly backup.",
]
NO_CAUSES = [
    "I could not find the root cause.",
    "No root cause was named in the thread.",
    "What was the root cause?",
    "Dana wrote “root cause: the disk was full” in the thread.",
    "The certificate is due to expire on 3 December.",
    "Find the root cause first.",
    "Run `grep 'caused by' app.log` on the host.",
    "HighErrorRate fired 14 times.",
]


@pytest.mark.parametrize("sentence", CLAIMS)
def test_what_tells_of_the_world_is_a_claim(sentence):
    assert claims(sentence)


@pytest.mark.parametrize("sentence", NO_CLAIMS)
def test_questions_pleasantries_advice_guesses_and_own_doings_are_none(sentence):
    assert claims(sentence) == []


@pytest.mark.parametrize("sentence", CAUSES)
def test_what_says_why_speaks_of_a_cause(sentence):
    assert causes(sentence)


@pytest.mark.parametrize("sentence", NO_CAUSES)
def test_what_only_mentions_causes_does_not(sentence):
    assert causes(sentence) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It is down. Restart it!", ["It is down.", "Restart it!"]),
        ("Use v2.3.1 e.g. on db-3. Then wait.", ["Use v2.3.1 e.g. on db-3.", "Then wait."]),
        ("Run `a. B. C` now. It helps.", ["Run `a. B. C` now.", "It helps."]),
        ("It fired 14 times [1]. It is over.", ["It fired 14 times [1].", "It is over."]),
        ("**It fired.** Then it was over.", ["**It fired.**", "Then it was over."]),
        ("  ", []),
    ],
)
def test_sentences_are_parted_where_they_end(text, parts):
    found = list(sentences(text))
    assert [sentence for _, sentence in found] == parts
    assert all(text[start:].startswith(sentence) for start, sentence in found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It has approx.   5 pods. No. 3 failed", ["It has approx.   5 pods.", "No. 3 failed"]),
        ("It has e.g. A and i.e. B. So it is", ["It has e.g. A and i.e. B.", "So it is"]),
        ("1. One. 12. Two v1.2. Three", ["1. One.", "12. Two v1.2.", "Three"]),
        ("See it. [1] [2]) Then it (fell.) [3] Now", ["See it. [1] [2])", "Then it (fell.) [3]", "Now"]),
    ],
)
def test_abbreviations_and_numbers_end_no_sentence(text, parts):
    assert [sentence for _, sentence in sentences(text)] == parts
