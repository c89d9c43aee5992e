from kiwisolver import Solver, Variable

left, right = Variable("left"), Variable("right")
solver = Solver()
solver.addConstraint(left == 10)
solver.addConstraint(right == left * 2 + 5)
solver.updateVariables()
assert right.value() == 25
