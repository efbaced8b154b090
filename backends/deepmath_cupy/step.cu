// Kernels of a training step that compute no formula: they move numbers, and add them up in a fixed order.
// They stand behind the prelude of printed kernels. Counts are long long, fractions double, as in printed kernels.

// A tape holds what changes from step to step: `cursor` counts the steps of this tape. This copies the entries of the
// step at hand to where all other kernels read them: the rows' numbers, their weights in the loss and by themselves, the
// optimiser's coefficients, and the step's own number. Steps have up to `line` rows. Shares are what the loss's gradient
// is multiplied by: the weights in the loss, times the scale that keeps gradients from vanishing in 16 bits.
extern "C" __global__ void begin_step(const long long* cursor, const long long* tape_rows, const double* tape_weights,
                                      const double* tape_own, const double* tape_coefficients,
                                      const long long* tape_step, long long* rows, double* weights, double* own,
                                      T* shares, double* coefficients, long long* step, const double* scale,
                                      long long count, long long line, long long numbers) {
  const long long at = *cursor, stride = (long long)gridDim.x * blockDim.x;
  const long long first = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  for (long long i = first; i < count; i += stride) {
    rows[i] = tape_rows[at * line + i];
    weights[i] = tape_weights[at * line + i];
    own[i] = tape_own[at * line + i];
    shares[i] = T(tape_weights[at * line + i] * *scale);
  }
  for (long long i = first; i < numbers; i += stride) coefficients[i] = tape_coefficients[at * numbers + i];
  if (first == 0) *step = tape_step[at];
}

// The results of the step go to its line of the tape, and the tape moves on.
extern "C" __global__ void end_step(long long* cursor, const double* sums, double* results, long long columns) {
  for (long long c = threadIdx.x; c < columns; c += blockDim.x) results[*cursor * columns + c] = sums[c];
  __syncthreads();  // all threads have read the cursor
  if (threadIdx.x == 0) *cursor += 1;
}

// Row i of the result is row rows[i] of the source [., columns], whose address stands in the device's memory: data may
// move between launches of a recorded step.
extern "C" __global__ void gather(const long long* source, const long long* rows, S* to, long long count,
                                  long long columns) {
  const T* from = (const T*)*source;
  for (long long i = (long long)blockIdx.y * blockDim.y + threadIdx.y; i < count;
       i += (long long)gridDim.y * blockDim.y)
    for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < columns;
         j += (long long)gridDim.x * blockDim.x)
      to[i * columns + j] = from[rows[i] * columns + j];
}

// The same for targets: numbers are kept in T, labels are whole numbers.
extern "C" __global__ void gather_numbers(const long long* source, const long long* rows, T* to, long long count,
                                          long long columns) {
  const T* from = (const T*)*source;
  for (long long i = (long long)blockIdx.y * blockDim.y + threadIdx.y; i < count;
       i += (long long)gridDim.y * blockDim.y)
    for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < columns;
         j += (long long)gridDim.x * blockDim.x)
      to[i * columns + j] = from[rows[i] * columns + j];
}

extern "C" __global__ void gather_labels(const long long* source, const long long* rows, long long* to,
                                         long long count) {
  const long long* from = (const long long*)*source;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count;
       i += (long long)gridDim.x * blockDim.x)
    to[i] = from[rows[i]];
}

// The second pass of a sum over rows: parts [stretches, columns] from `layout` "columns", added from top to bottom.
extern "C" __global__ void add_stretches(const T* parts, T* to, long long stretches, long long columns) {
  for (long long j = (long long)blockIdx.x * blockDim.x + threadIdx.x; j < columns;
       j += (long long)gridDim.x * blockDim.x) {
    T sum = parts[j];
    for (long long i = 1; i < stretches; ++i) sum += parts[i * columns + j];
    to[j] = sum;
  }
}

// One block: the sum of numbers [count], in double. `mode` 0 takes all, 1 those whose weight is not 0, whatever the
// others are, times their weights. With `keep` it is added to what stands there.
extern "C" __global__ void add_rows(const T* numbers, const double* weights, double* sum, long long mode,
                                    long long keep, long long count) {
  double part = 0;
  for (long long i = threadIdx.x; i < count; i += blockDim.x) {
    if (mode == 0)
      part += double(numbers[i]);
    else if (weights[i] > 0)
      part += weights[i] * double(numbers[i]);
  }
  const double total = block_sum(part);
  if (threadIdx.x == 0) *sum = keep ? *sum + total : total;
}

extern "C" __global__ void clear(T* x, long long count) {
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count;
       i += (long long)gridDim.x * blockDim.x)
    x[i] = T(0);
}
