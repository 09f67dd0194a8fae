-- MCP servers that a running Ratchet leaves alone for a while, for those who look at its state from outside.
create table mcp_failures (
    server   text primary key,
    failures integer not null,
    problem  text not null,
    until    timestamptz not null
);
