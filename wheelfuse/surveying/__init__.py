"""The survey of many wheels: read by ranges, wherever they lie, into tables that answer questions."""
