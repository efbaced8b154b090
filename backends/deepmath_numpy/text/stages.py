"""What a stage of each kind does, forward and backward."""

from deepmath_numpy.text.compiled import call, copy, reference_backward, reference_forward
from deepmath_numpy.text.names import *
from deepmath_numpy.text.views import vector
from deepmath_numpy.text.wide import product, product_back, product_kernel


def forward(net, scratch, i, n, seed, step, first, training, hooks):
    """y from x; in training what `backward` needs is kept."""
    at, c, a = net.stages[i], net.numbers[i], scratch.a
    kind, features, units = at[KIND], at[FEATURES], at[UNITS]
    if kind == DENSE:
        product(net.info, a, n, features, units, at[X], at[W], at[Z], hooks)
        a[0], a[1], a[2] = at[Z], at[Y], at[B]
        if at[FORWARD] != 0:
            call(at[FORWARD], a, c, n, units)
    elif kind == ACTIVATION:
        copy(vector(at[X], n * units), vector(at[Z], n * units))
        a[0], a[1] = at[Z], at[Y]
        call(at[FORWARD], a, c, n, units)
    elif kind == DROPOUT:
        if training and c[0] > 0.0:
            given = scratch.c
            given[0], given[1], given[2], given[3], given[4] = first, step & 0xFFFFFFFF, at[NUMBER], seed, STREAM
            a[0] = at[BITS]
            call(net.info[NOISE], a, given, n, (units + 3) // 4)
            a[0], a[1], a[2] = at[X], at[BITS], at[Y]
            call(at[FORWARD], a, c, n, units)
        else:
            copy(vector(at[X], n * units), vector(at[Y], n * units))
    elif kind == BATCH:
        if training:
            a[0], a[1], a[2], a[3], a[4], a[5] = at[X], at[W], at[B], at[Y], at[MEAN], at[VARIANCE]
            call(at[FORWARD], a, c, units, n)
            a[0], a[1] = at[NEXT_MEAN], at[MEAN]
            call(net.info[AVERAGE], a, c[1:], 1, units)
            a[0], a[1] = at[NEXT_VARIANCE], at[VARIANCE]
            call(net.info[AVERAGE], a, c[1:], 1, units)
        else:
            a[0], a[1], a[2], a[3] = at[X], at[STATE_MEAN], at[STATE_VARIANCE], at[W]
            a[4], a[5] = at[B], at[Y]
            call(at[SPECIAL], a, c, units, n)
    elif kind == LAYER:
        a[0], a[1], a[2], a[3], a[4], a[5] = at[X], at[W], at[B], at[Y], at[MEAN], at[VARIANCE]
        call(at[FORWARD], a, c, n, units)
    elif kind == PRELU:
        a[0], a[1], a[2] = at[X], at[W], at[Y]
        call(at[FORWARD], a, c, n, units)
    else:
        reference_forward(net, i, n, seed, step, first, training, hooks)


def backward(net, scratch, i, n, hooks):
    """The gradients of the stage's parameters, and that by its inputs, which most leave in the place of dy."""
    at, c, a = net.stages[i], net.numbers[i], scratch.a
    kind, features, units = at[KIND], at[FEATURES], at[UNITS]
    if kind == DENSE:
        a[0], a[1], a[2], a[3] = at[DY], at[Z], at[Y], at[DB]
        if at[BACKWARD] != 0:
            call(at[BACKWARD], a, c, n, units)
        if at[DX] != 0:
            product_back(net.info, a, n, features, units, at[DY], at[W], at[DX], at[DW])
        product_kernel(net.info, a, n, features, units, at[X], at[DY], at[DW], hooks)
    elif kind == ACTIVATION:
        a[0], a[1], a[2] = at[DY], at[Z], at[Y]
        if at[BACKWARD] != 0:
            call(at[BACKWARD], a, c, n, units)
    elif kind == DROPOUT:
        if c[0] > 0.0:
            a[0], a[1] = at[DY], at[BITS]
            call(at[BACKWARD], a, c, n, units)
    elif kind == BATCH or kind == LAYER:
        a[0], a[1], a[2], a[3] = at[X], at[MEAN], at[VARIANCE], at[W]
        a[4], a[5], a[6] = at[DY], at[DW], at[DB]
        if kind == BATCH:
            call(at[BACKWARD], a, c, units, n)
        else:
            call(at[BACKWARD], a, c, n, units)
    elif kind == PRELU:
        a[0], a[1], a[2], a[3] = at[X], at[W], at[DY], at[DW]
        call(at[BACKWARD], a, c, n, units)
    else:
        reference_backward(net, i, n, hooks)
