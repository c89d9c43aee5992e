import markupsafe
import markupsafe._speedups

assert markupsafe._escape_inner is markupsafe._speedups._escape_inner, "the slow functions are used"
assert markupsafe.escape("<a & b>") == "&lt;a &amp; b&gt;"
