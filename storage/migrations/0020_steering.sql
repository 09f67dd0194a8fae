-- People end turns, add to them while they run, and have them answered anew.
alter table turns add column stopped_by text;       -- who asked for its end; it begins nothing any more
alter table turns add column stopped_at timestamptz;
alter table turns add column merged_into uuid;      -- of a merged turn: the one that took its message in
alter table turns add column retry_of uuid;         -- of a retry: the turn whose answer it is to correct

create index turns_queued on turns (team_id, channel_id, thread_ts) where status = 'queued';
create index turns_merged on turns (merged_into) where merged_into is not null;
