-- What MCP servers said of their tools when they were first seen: the pin by which a change is noticed, and the
-- definition by which a tool can be offered while its server does not answer.
create table mcp_tools (
    server     text not null,
    tool       text not null,
    sha256     text not null,
    definition text not null,
    seen_at    timestamptz not null default now(),
    primary key (server, tool)
);
