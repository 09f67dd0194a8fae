-- What is looked up for each answer, and by each deletion.
create index streams_turn on streams (turn_id);
create index posts_thread on posts (channel_id, thread_ts);
