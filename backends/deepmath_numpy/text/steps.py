"""How a network trains and predicts: tables that say what lies where, and kernels that are called at their addresses.

This is text: it is compiled whole, once for all networks, and run by Python where a part has no kernel. In
front of it stands one set of the functions on memory (`vector`, `matrix`, `call`, `product`, `gather`, ...). What is
called from outside takes plain tuples, whose types Numba knows at once.
"""

import numpy as np

from deepmath_numpy.text.compiled import (
    ITEM,
    add_to,
    call,
    copy,
    reference_conclude,
    reference_judge,
    reference_update,
    restore,
    take,
    without_subnormals,
)  # fmt: skip
from deepmath_numpy.text.names import *
from deepmath_numpy.text.stages import backward, forward
from deepmath_numpy.text.views import matrix, table, vector, whole
from deepmath_numpy.text.wide import enter, enter_rows, gather, give, put


def run(net, scratch, data, order, bounds, micro, seed, step, eager, coefficients, results, hooks):
    """Train a step on each stretch of `order` between two `bounds`; `coefficients` [steps, rates, n]."""
    net, scratch, data = Net(*net), Scratch(*scratch), Data(*data)
    before = without_subnormals()
    for s in range(len(bounds) - 1):
        rows = order[bounds[s] : bounds[s + 1]]
        n = len(rows)
        weight, counted = share_out(data.weights, rows, scratch.shares, net.info[SUMMED] == 1)
        for first in range(0, n, micro):
            stop = min(first + micro, n)
            part, shares, given = rows[first:stop], scratch.shares[first:stop], coefficients[s]
            learn(net, scratch, data, part, shares, seed, step + s, first, first > 0, eager, given, hooks)
        if not eager:
            settle_all(net, scratch, coefficients[s], hooks)
        copy(vector(net.info[NEXT_STATE], net.info[STATES]), vector(net.info[STATE], net.info[STATES]))
        finish(scratch.sums, weight, counted, results[s])
    restore(before)


def gradients(net, scratch, data, rows, shares, seed, step, first, again, coefficients, hooks):
    """The gradient of one micro-batch, `again`: added to those before."""
    given = Net(*net), Scratch(*scratch), Data(*data)
    before = without_subnormals()
    learn(given[0], given[1], given[2], rows, shares, seed, step, first, again, False, coefficients, hooks)
    restore(before)


def settle(net, scratch, coefficients, hooks):
    """Clip the gradient, update the parameters, and put them back into what is allowed."""
    before = without_subnormals()
    settle_all(Net(*net), Scratch(*scratch), coefficients, hooks)
    restore(before)


def predict(net, scratch, x, out, hooks):
    """Predictions [rows, outputs] into `out`, as many rows at a time as there is space for."""
    net, scratch = Net(*net), Scratch(*scratch)
    capacity, outputs = net.info[CAPACITY], net.info[OUTPUTS]
    for start in range(0, x.shape[0], capacity):
        n = min(capacity, x.shape[0] - start)
        scores(net, scratch, x[start : start + n], hooks)
        scratch.a[0] = net.info[SCORES]
        if net.info[CONCLUDE] != 0:
            call(net.info[CONCLUDE], scratch.a, net.numbers[len(net.stages)], n, outputs)
        else:
            reference_conclude(net.info, n, hooks)
        give(matrix(net.info[SCORES], n, outputs), out[start : start + n])


def measure(net, scratch, data, hooks):
    """Add up loss and metrics over all rows, and the penalties, in `scratch.sums`; the gradients are spoilt."""
    net, scratch, data = Net(*net), Scratch(*scratch), Data(*data)
    info, capacity = net.info, net.info[CAPACITY]
    scratch.sums[:] = 0.0
    for start in range(0, data.x.shape[0], capacity):
        n = min(capacity, data.x.shape[0] - start)
        scores(net, scratch, data.x[start : start + n], hooks)
        if info[LABELLED] == 1:
            copy(data.labels[start : start + n], whole(info[LABELS], n))
        else:
            put(data.targets[start : start + n], matrix(info[TARGETS], n, info[OUTPUTS]))
        shares = scratch.shares[:n]
        shares[:] = 1.0
        if len(data.weights) > 0:
            copy(data.weights[start : start + n], shares)
        judge(net, scratch, False, n, hooks)
        add_weighted(table(info[RESULTS], len(scratch.sums) - 1, capacity), shares, shares, scratch.sums)
    for p in range(len(net.params)):
        penalize(net, scratch, p)


def learn(net, scratch, data, rows, shares, seed, step, first, again, eager, coefficients, hooks):
    """Forward and backward through a micro-batch; `eager` updates parameters that no other part reads."""
    n, info = len(rows), net.info
    if again:
        copy(vector(info[GRADS], info[PARAMETERS]), vector(info[TOTAL], info[PARAMETERS]))
    else:
        copy(vector(info[STATE], info[STATES]), vector(info[NEXT_STATE], info[STATES]))
        scratch.sums[:] = 0.0
    enter_rows(data.x, rows, net, hooks)
    if info[LABELLED] == 1:
        take(data.labels, rows, whole(info[LABELS], n))
    else:
        gather(data.targets, rows, matrix(info[TARGETS], n, info[OUTPUTS]))
    copy(shares, vector(info[WEIGHT], n))
    for i in range(len(net.stages)):
        forward(net, scratch, i, n, seed, step, first, True, hooks)
    judge(net, scratch, True, n, hooks)
    weights = scratch.weights[:n]
    weigh(data.weights, rows, weights)
    add_weighted(table(info[RESULTS], len(scratch.sums) - 1, info[CAPACITY]), shares, weights, scratch.sums)
    for i in range(len(net.stages) - 1, -1, -1):
        backward(net, scratch, i, n, hooks)
        if eager:
            for p in range(len(net.params)):
                if net.params[p, STAGE] == i:
                    penalize(net, scratch, p)
                    update(net, scratch, net.params[p], coefficients, hooks)
                    constrain(net, scratch, p)
    if again:
        add_to(vector(info[GRADS], info[PARAMETERS]), vector(info[TOTAL], info[PARAMETERS]))
    elif not eager:
        for p in range(len(net.params)):
            penalize(net, scratch, p)


def settle_all(net, scratch, coefficients, hooks):
    """What `settle` says."""
    info, limits = net.info, net.strengths[len(net.params)]
    if limits[0] < np.inf:
        if limits[1] < np.inf:
            clip(scratch, info[CLIP_VALUE], info[GRADS], info[PARAMETERS], limits[1:], info[WEIGHT])
        for p in range(len(net.params)):
            if net.params[p, RATE] < 0:
                vector(net.params[p, GRADIENT], net.params[p, SIZE])[:] = 0.0
        clip(scratch, info[CLIP_NORM], info[GRADS], info[PARAMETERS], limits, info[WEIGHT])
    for g in range(len(net.segments)):
        update(net, scratch, net.segments[g], coefficients, hooks)
    for p in range(len(net.params)):
        constrain(net, scratch, p)


def clip(scratch, kernel, gradients, size, limits, norm):
    """Call one of the kernels that clip, on gradients from this address on; `norm` is where it writes their norm."""
    scratch.a[0], scratch.a[1] = gradients, norm
    call(kernel, scratch.a, limits, 1, size)


def update(net, scratch, at, coefficients, hooks):
    """One step of the optimiser for one row of `params` or `segments`, which is clipped by value first."""
    info, limits = net.info, net.strengths[len(net.params)]
    if at[RATE] < 0:
        return
    if limits[1] < np.inf and limits[0] == np.inf:
        clip(scratch, info[CLIP_VALUE], at[GRADIENT], at[SIZE], limits[1:], info[WEIGHT])
    if info[UPDATE] == 0:
        reference_update(at, coefficients[at[RATE]], hooks)
    else:
        for k in range(2 + info[SLOTS]):
            scratch.a[k] = at[OWN + k]
        call(info[UPDATE], scratch.a, coefficients[at[RATE]], 1, at[SIZE])


def penalize(net, scratch, p):
    """Add a regulariser's slope to the gradient, and its value to the sums."""
    at, out = net.params[p], vector(net.info[WEIGHT], 1)
    if at[PENALTY] != 0:
        scratch.a[0], scratch.a[1], scratch.a[2] = at[OWN], at[GRADIENT], net.info[WEIGHT]
        call(at[PENALTY], scratch.a, net.strengths[p], 1, at[SIZE])
        scratch.sums[0] += out[0]


def constrain(net, scratch, p):
    """Put a parameter back into what its constraint allows."""
    at = net.params[p]
    if at[CONSTRAINT] != 0 and at[RATE] >= 0:
        scratch.a[0] = at[OWN]
        call(at[CONSTRAINT], scratch.a, net.strengths[p, 2:], at[COLUMNS], at[ROWS])


def judge(net, scratch, training, n, hooks):
    """Loss and metrics of each row, in training also the gradient by the scores."""
    info, a = net.info, scratch.a
    kernel = info[HEAD] if training else info[JUDGE]
    if kernel == 0:
        reference_judge(info, n, len(scratch.sums) - 1, training, hooks)
        return
    a[0], a[1], a[2] = info[SCORES], info[LABELS] if info[LABELLED] == 1 else info[TARGETS], info[WEIGHT]
    a[3] = info[SCORES_BACK]
    for k in range(len(scratch.sums) - 1):
        a[4 + k] = info[RESULTS] + k * info[CAPACITY] * ITEM
    call(kernel, a, net.loss, n, info[OUTPUTS])


def share_out(weights, rows, shares, summed):
    """Give each row its share of the mean, or its weight in a sum; gives the sum of the weights and how many count."""
    n = len(rows)
    if len(weights) == 0:
        shares[:n] = 1.0 if summed else 1.0 / n
        return float(n), n
    total, counted = 0.0, 0
    for r in range(n):
        shares[r] = weights[rows[r]]
        total += shares[r]
        counted += shares[r] > 0.0
    if total > 0.0 and not summed:
        for r in range(n):
            shares[r] /= total
    return total, counted


def weigh(given, rows, weights):
    """What each row weighs by itself: 1 where no weights are given."""
    weights[:] = 1.0
    if len(given) > 0:
        for r in range(len(rows)):
            weights[r] = given[rows[r]]


def add_weighted(results, shares, weights, sums):
    """Add shares times the rows' losses, and weights times their metrics; a row of share 0 adds nothing, ever."""
    for r in range(len(shares)):
        if shares[r] > 0.0:
            sums[1] += shares[r] * results[0, r]
            for k in range(1, len(results)):
                sums[1 + k] += weights[r] * results[k, r]


def finish(sums, weight, counted, results):
    """Objective, cost, weight, number of rows that count, and the means of the metrics."""
    results[0] = sums[0] + sums[1]
    results[1] = sums[1]
    results[2] = weight
    results[3] = counted
    for k in range(2, len(sums)):
        results[2 + k] = sums[k] / (weight if weight > 0.0 else 1.0)


def scores(net, scratch, x, hooks):
    """What comes out of the last layer for the rows of x, in prediction mode."""
    n = x.shape[0]
    enter(x, net, hooks)
    for i in range(len(net.stages)):
        forward(net, scratch, i, n, n, n, n, False, hooks)  # nothing is random here
