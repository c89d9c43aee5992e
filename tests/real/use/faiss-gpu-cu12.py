import faiss
import numpy

points = numpy.random.default_rng(1).random((200, 8), dtype="float32")
index = faiss.IndexFlatL2(8)
index.add(points)
distances, nearest = index.search(points[:5], 1)
assert nearest[:, 0].tolist() == [0, 1, 2, 3, 4]
assert abs(distances).max() < 1e-5
