"""What compiled steps do with memory, besides the arrays of `views.py`. Nothing runs by the reference in them."""

from deepmath.printers.float32_functions import T, np
from deepmath_numpy.text.views import X86, cgutils, control, intrinsic, ir, types


@intrinsic
def call(typingctx, address, a, c, rows, columns):
    """Call the kernel at this address on the addresses in `a` and the numbers in `c`."""

    def code(context, builder, signature, args):
        whole = ir.IntType(64)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (1, 2)]
        sizes = [context.cast(builder, args[i], signature.args[i], types.int64) for i in (3, 4)]
        function = ir.FunctionType(ir.VoidType(), [*(d.type for d in data), whole, whole])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), [*data, *sizes])
        return context.get_dummy_value()

    return types.none(types.int64, a, c, rows, columns), code


@intrinsic
def without_subnormals(typingctx):
    """From now on numbers below the smallest normal one count as zero in this thread; gives the control word before.

    Processors need many times as long for them, and the moments of a weight that has stopped learning pass through
    them: Adam's took twice as long. Elsewhere than on x86 nothing changes.
    """

    def code(context, builder, signature, args):
        word = ir.IntType(32)
        place = cgutils.alloca_once(builder, word)
        if not X86:
            return word(0)
        control(builder, "stmxcsr", place)
        before = builder.load(place)
        builder.store(builder.or_(before, word(0x8040)), place)  # flush what results, and take what comes for zero
        control(builder, "ldmxcsr", place)
        return before

    return types.int32(), code


@intrinsic
def restore(typingctx, before):
    """Put back the control word."""

    def code(context, builder, signature, args):
        if X86:
            control(builder, "ldmxcsr", cgutils.alloca_once_value(builder, args[0]))
        return context.get_dummy_value()

    return types.none(types.int32), code


def multiply(at, a, left, right, out, rows, columns, inner, left_row, left_inner, right_row, out_row):
    """Call one of our own products at this address; what it takes stands in `products.py`."""
    a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7] = left, right, out, inner, left_row, left_inner, right_row, out_row
    call(at, a, a, rows, columns)


def copy(source, out):
    """out[i] = source[i], for all of the source."""
    for i in range(len(source)):
        out[i] = source[i]


def add_to(total, more):
    """total[i] += more[i]."""
    for i in range(len(total)):
        total[i] += more[i]


def take(source, rows, out):
    """out[r] = source[rows[r]]."""
    for r in range(len(rows)):
        out[r] = source[rows[r]]


def reference_forward(net, i, n, seed, step, first, training, hooks):
    """A layer without kernels: there is none here."""
    return


def reference_backward(net, i, n, hooks):
    """A layer without kernels: there is none here."""
    return


def reference_judge(info, n, results, training, hooks):
    """A loss without a kernel: there is none here."""
    return


def reference_conclude(info, n, hooks):
    """Predictions without a kernel: they are the scores."""
    return


def reference_update(at, coefficients, hooks):
    """An optimiser without a kernel: there is none here."""
    return


ITEM = np.dtype(T).itemsize
