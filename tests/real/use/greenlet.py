from greenlet import getcurrent, greenlet

seen = []


def other(value):
    seen.append(value)
    seen.append(getcurrent().parent.switch("from the other"))
    return "done"


child = greenlet(other)
assert child.switch("to the other") == "from the other"
assert child.switch("again") == "done"
assert seen == ["to the other", "again"]
assert child.dead
