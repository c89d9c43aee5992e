import io

import pandas

frame = pandas.read_csv(
    io.StringIO("day,kind,n\n2026-01-01,a,1\n2026-01-02,b,2\n2026-01-03,a,3\n"), parse_dates=["day"]
)
assert frame.groupby("kind")["n"].sum().to_dict() == {"a": 4, "b": 2}
assert frame.set_index("day").resample("2D")["n"].sum().tolist() == [3, 3]
assert frame.merge(frame, on="kind").shape == (5, 5)
