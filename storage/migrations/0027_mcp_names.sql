-- Pins bear the names that tools have in the catalogue: dots became underscores there. Of two that are one then, what
-- was seen first stays.
delete from mcp_tools late using mcp_tools first
where late.server = first.server and late.tool <> first.tool
  and replace(late.tool, '.', '_') = replace(first.tool, '.', '_')
  and (first.seen_at, first.tool) < (late.seen_at, late.tool);

update mcp_tools set tool = replace(tool, '.', '_') where strpos(tool, '.') > 0;
