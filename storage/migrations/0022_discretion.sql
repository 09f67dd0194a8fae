-- Whether people of other organizations read a channel (Slack Connect): it is shown nothing of other channels.
alter table channels add column shared boolean not null default false;

-- What was offered to a requester in private: a turn found less than they may read, since others read its answer.
create table private_offers (
    turn_id         uuid primary key references turns on delete cascade,
    dm_id           text not null,          -- where it would be answered
    private_turn_id uuid not null unique,   -- the turn that a click makes
    offered_at      timestamptz not null default now()
);
