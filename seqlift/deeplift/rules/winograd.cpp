// Convolution of width three and stride one by Winograd's minimal filtering F(4, 3), channels last.
//
// Four results that lie a dilation apart make a tile. A few tiles at a time stay in the cache on
// their way: six sums of the inputs of each (take), their products with the six sums of the weights
// (multiply), and the results, which are sums of those (give). What is gained over the plain
// convolution is half of the multiplications; what must not be lost again is the time for memory,
// so the places of the results are fetched during the multiplication.
//
// For the same reason it does what stands around the convolution while the numbers are at hand. What
// is convolved is made of TAKEN tensors by TAKE; of a result and of BESIDE tensors at its place, GIVE
// makes the GIVEN tensors that are kept. These five are defined before this file. And steps that
// follow each other are taken row by row: what one makes is in the cache when the next reads it.
//
// Compiled on the machine that runs it, for the registers that it has.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace {

#if defined(__AVX512F__)
constexpr int64_t LANES = 16, PANELS = 4;
#elif defined(__AVX__)
constexpr int64_t LANES = 8, PANELS = 1;
#else
constexpr int64_t LANES = 4, PANELS = 1;
#endif

// Numbers that lie together: channels of a position, channels out of a sum of weights.
constexpr int64_t PANEL = 16;
constexpr int64_t READ = 6, MADE = 4;  // positions that a tile reads and makes
constexpr int64_t SUMS = 6;
constexpr int64_t TILES = 6;  // multiplied at once: with PANELS panels they fill the registers
constexpr int64_t LINE = 16;  // numbers that memory hands over together

// `aligned(4)`: a number's own alignment is all that is asked of a tensor.
typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

typedef int32_t Bits __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

// Not a number stays what it is.
inline Vector positive(Vector value) { return value < 0 ? Vector{} : value; }
inline Vector size(Vector value) { return reinterpret_cast<Vector>(reinterpret_cast<Bits>(value) & 0x7fffffff); }

struct Free {
  void operator()(float* numbers) const { std::free(numbers); }
};
using Numbers = std::unique_ptr<float[], Free>;

Numbers allocate(int64_t count) {
  const int64_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  return Numbers(static_cast<float*>(std::aligned_alloc(64, bytes)));
}

// One of the tensors of a step, (row, position, channel). Its rows lie one behind the other, and
// neighbouring rows may share one; or each thread has one row, in its own memory.
struct Stream {
  float* first;
  int64_t shared_by;
  int64_t own;  // where in the thread's own memory; -1 if it is not there

  float* of(int64_t row, int64_t numbers, float* memory) const {
    return own < 0 ? first + row / shared_by * numbers : memory + own;
  }
};

// What a thread works with.
struct Bench {
  const float* nothing;  // as many zeros as a position has channels
  float *own, *scratch;
};

// One convolution. weights: (sum, panel, channel in, channel out of the panel); bias: (channel out)
// or null. Channels come in whole panels.
struct Step {
  void (*convolve)(const Step*, const Bench*, int64_t row, int64_t part);
  const Stream *taken, *beside, *given;
  const float *weights, *bias;
  int64_t length, channels_in, channels_out, padding, dilation;

  int64_t positions() const { return length + 2 * padding - 2 * dilation; }
  int64_t tiles() const {
    const int64_t together = MADE * dilation, left = positions() % together;
    return positions() / together * dilation + std::min(left, dilation);
  }
  int64_t tile(int64_t i) const { return i / dilation * MADE * dilation + i % dilation; }
  // Tiles of a part: as many as keep the sums near, and enough to use large weights often.
  int64_t at_once() const { return TILES * std::max<int64_t>(2, channels_in / 32); }
  int64_t parts() const { return (tiles() + at_once() - 1) / at_once(); }
  // A line more, lest all six sums fall on the same places of the cache.
  int64_t sums_apart() const { return at_once() * channels_in + LINE; }
  int64_t products_apart() const { return at_once() * channels_out + LINE; }
  int64_t scratch() const { return SUMS * (sums_apart() + products_apart()) + channels_out; }
};

// A step at one row.
struct Job {
  const float* taken[TAKEN];
  const float* beside[BESIDE + 1];  // never empty
  float* given[GIVEN];
  const float *weights, *bias, *nothing;
  int64_t length, channels_in, channels_out, padding, dilation, positions;

  Job(const Step& step, const Bench& bench, int64_t row)
      : weights(step.weights), bias(step.bias), nothing(bench.nothing), length(step.length),
        channels_in(step.channels_in), channels_out(step.channels_out), padding(step.padding),
        dilation(step.dilation), positions(step.positions()) {
    const int64_t in = length * channels_in, out = positions * channels_out;
    for (int64_t n = 0; n < TAKEN; n++) taken[n] = step.taken[n].of(row, in, bench.own);
    for (int64_t n = 0; n < BESIDE; n++) beside[n] = step.beside[n].of(row, out, bench.own);
    for (int64_t n = 0; n < GIVEN; n++) given[n] = step.given[n].of(row, out, bench.own);
  }
  const float* read(int64_t n, int64_t first, int64_t i) const {
    const int64_t at = first - padding + i * dilation;
    return at >= 0 && at < length ? taken[n] + at * channels_in : nothing;
  }
};

// What is convolved, at one position: of nothing, TAKE makes nothing.
struct Taken {
  const float* from[TAKEN];

  Taken(const Job& job, int64_t first, int64_t i) {
    for (int64_t n = 0; n < TAKEN; n++) from[n] = job.read(n, first, i);
  }
  Vector at(int64_t c) const {
    Vector in[TAKEN];
    for (int64_t n = 0; n < TAKEN; n++) in[n] = load(from[n] + c);
    return TAKE(in);
  }
};

// The sums of the inputs of the tile at `first`; those of one kind lie `apart` numbers from the next.
void take(const Job& job, int64_t first, float* sums, int64_t apart) {
  const Taken from[READ] = {{job, first, 0}, {job, first, 1}, {job, first, 2},
                            {job, first, 3}, {job, first, 4}, {job, first, 5}};
  for (int64_t c = 0; c < job.channels_in; c += LANES) {
    const Vector a = from[0].at(c), b = from[1].at(c), d = from[2].at(c);
    const Vector e = from[3].at(c), f = from[4].at(c), g = from[5].at(c);
    const Vector even = f - 4 * d, odd = e - 4 * b, near = f - d, far = 2 * (e - b);
    store(sums + c, 4 * a - 5 * d + f);
    store(sums + apart + c, even + odd);
    store(sums + 2 * apart + c, even - odd);
    store(sums + 3 * apart + c, near + far);
    store(sums + 4 * apart + c, near - far);
    store(sums + 5 * apart + c, 4 * b - 5 * e + g);
  }
}

// Products of TILES rows of sums with `P` panels of weights. A function by itself, whatever is around
// it, so that its totals stay in registers.
template <int64_t P>
__attribute__((noinline)) void multiply(const float* sums, const float* weights, float* products, int64_t channels_in,
              int64_t channels_out) {
  constexpr int64_t VECTORS = P * PANEL / LANES, EACH = PANEL / LANES;
  Vector total[TILES][VECTORS] = {};
  for (int64_t c = 0; c < channels_in; c++) {
    Vector weight[VECTORS];
    for (int64_t v = 0; v < VECTORS; v++)
      weight[v] = load(weights + (v / EACH * channels_in + c) * PANEL + v % EACH * LANES);
    for (int64_t t = 0; t < TILES; t++)
      for (int64_t v = 0; v < VECTORS; v++) total[t][v] += sums[t * channels_in + c] * weight[v];
  }
  for (int64_t t = 0; t < TILES; t++)
    for (int64_t v = 0; v < VECTORS; v++)
      store(products + t * channels_out + v * LANES, total[t][v]);
}

// Where one result of a tile goes, with what stands beside it. What lies beyond the last position is
// made of nothing and goes nowhere.
struct Place {
  const float* beside[BESIDE + 1];
  float* to[GIVEN];

  Place(const Job& job, int64_t first, int64_t i, float* nowhere) {
    const int64_t at = first + i * job.dilation, from = at * job.channels_out;
    const bool is_there = at < job.positions;
    for (int64_t n = 0; n < BESIDE; n++) beside[n] = is_there ? job.beside[n] + from : job.nothing;
    for (int64_t n = 0; n < GIVEN; n++) to[n] = is_there ? job.given[n] + from : nowhere;
  }
  void give(int64_t c, Vector result) const {
    Vector in[BESIDE + 1], out[GIVEN];
    for (int64_t n = 0; n < BESIDE; n++) in[n] = load(beside[n] + c);
    GIVE(result, in, out)
    for (int64_t n = 0; n < GIVEN; n++) store(to[n] + c, out[n]);
  }
};

// The results of the tile at `first` from its products; those with one sum lie `apart` from the next.
void give(const Job& job, int64_t first, const float* products, int64_t apart, float* nowhere) {
  const Place place[MADE] = {{job, first, 0, nowhere}, {job, first, 1, nowhere},
                             {job, first, 2, nowhere}, {job, first, 3, nowhere}};
  for (int64_t c = 0; c < job.channels_out; c += LANES) {
    const float* from = products + c;
    const Vector a = load(from), z = load(from + 5 * apart);
    const Vector b = load(from + apart), d = load(from + 2 * apart);
    const Vector e = load(from + 3 * apart), f = load(from + 4 * apart);
    const Vector near = b + d, across = b - d, far = e + f, beyond = e - f;
    const Vector bias = job.bias ? load(job.bias + c) : Vector{};
    place[0].give(c, a + near + far + bias);
    place[1].give(c, across + 2 * beyond + bias);
    place[2].give(c, near + 4 * far + bias);
    place[3].give(c, across + 8 * beyond + z + bias);
  }
}

// Ask for where a tile writes; what it reads, the processor foresees by itself.
// Inlined by force: a function that only prefetches has no effect, and GCC leaves its call out.
inline __attribute__((always_inline)) void fetch(const Job& job, int64_t first) {
  for (int64_t i = 0; i < MADE; i++) {
    const int64_t at = first + i * job.dilation;
    for (int64_t c = 0; at < job.positions && c < job.channels_out; c += LINE)
      for (int64_t n = 0; n < GIVEN; n++)
        __builtin_prefetch(job.given[n] + at * job.channels_out + c, 1, 2);
  }
}

void multiply_panels(const float* sums, const float* weights, float* products, int64_t channels_in,
                     int64_t channels_out, int64_t panels) {
  if (panels == PANELS)
    multiply<PANELS>(sums, weights, products, channels_in, channels_out);
  else
    for (int64_t p = 0; p < panels; p++)
      multiply<1>(sums, weights + p * channels_in * PANEL, products + p * PANEL, channels_in,
                  channels_out);
}

}  // namespace

// A part of one row.
extern "C" void seqlift_convolve(const Step* step, const Bench* bench, int64_t row, int64_t part) {
  const Job job(*step, *bench, row);
  const int64_t begin = part * step->at_once();
  const int64_t count = std::min(step->at_once(), step->tiles() - begin);
  const int64_t in = job.channels_in, out = job.channels_out, panels = out / PANEL;
  float* const sums = bench->scratch;
  float* const products = sums + SUMS * step->sums_apart();
  float* const nowhere = products + SUMS * step->products_apart();
  for (int64_t t = 0; t < count; t++)
    take(job, step->tile(begin + t), sums + t * in, step->sums_apart());
  for (int64_t s = 0; s < SUMS; s++)
    for (int64_t p = 0; p < panels; p += PANELS)
      for (int64_t t = 0; t < count; t += TILES) {
        if (p == 0 && t + s < count) fetch(job, step->tile(begin + t + s));
        multiply_panels(sums + s * step->sums_apart() + t * in,
                        job.weights + (s * panels + p) * in * PANEL,
                        products + s * step->products_apart() + t * out + p * PANEL, in, out,
                        std::min(PANELS, panels - p));
      }
  for (int64_t t = 0; t < count; t++)
    give(job, step->tile(begin + t), products + t * out, step->products_apart(), nowhere);
}

// Take steps one after the other at each row; a single step is shared out by parts of rows. A thread
// has `own` numbers for what it makes and nobody else reads. Returns whether there was memory.
extern "C" bool seqlift_run(const Step* steps, int64_t n_steps, int64_t rows, int64_t own,
                            int64_t threads) {
  int64_t widest = 0, scratch = 0;
  for (int64_t n = 0; n < n_steps; n++) {
    widest = std::max({widest, steps[n].channels_in, steps[n].channels_out});
    scratch = std::max(scratch, steps[n].scratch());
  }
  const Numbers memory = allocate(widest + threads * (own + scratch));
  if (!memory) return false;
  std::fill_n(memory.get(), widest, 0.0f);
  const int64_t split = n_steps == 1 ? steps->parts() : 1;
#pragma omp parallel num_threads(threads)
  {
    float* const mine = memory.get() + widest + omp_get_thread_num() * (own + scratch);
    const Bench bench{memory.get(), mine, mine + own};
#pragma omp for schedule(static)
    for (int64_t i = 0; i < rows * split; i++)
      for (const Step* step = steps; step != steps + n_steps; step++)
        for (int64_t part = i % split; part < step->parts(); part += split)
          step->convolve(step, &bench, i / split, part);
  }
  return true;
}
