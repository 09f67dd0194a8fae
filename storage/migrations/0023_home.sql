-- Who manages a channel: the workspace's admins and owners, and whoever created it.
alter table users add column is_admin boolean not null default false;
alter table channels add column creator_id text;

-- What a channel's managers switched on or off. Without a row the configured policy stands.
create table channel_switches (
    team_id     text not null,
    channel_id  text not null,
    feature     text not null,             -- a value of a policy's auto, such as report
    is_on       boolean not null,
    switched_at timestamptz not null default now(),
    primary key (team_id, channel_id, feature)
);
