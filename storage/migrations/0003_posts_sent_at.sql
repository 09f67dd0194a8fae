-- When a post was last sent to Slack: a request that nobody waits for any more may still arrive.

alter table posts add column sent_at timestamptz;
