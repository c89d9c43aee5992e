import psycopg2
import psycopg2.extensions

assert psycopg2.__libpq_version__ >= 140000
assert psycopg2.extensions.parse_dsn("host=a port=1") == {"host": "a", "port": "1"}
try:
    psycopg2.connect(host="/nonexistent", connect_timeout=1)
except psycopg2.OperationalError as error:
    assert "nonexistent" in str(error)
