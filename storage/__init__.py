"""Everything that knows SQL: one module a table, one function a statement, typed rows."""
