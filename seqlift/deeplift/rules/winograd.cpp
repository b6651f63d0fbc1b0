// Convolution of width three and stride one by Winograd's minimal filtering F(4, 3), channels last.
//
// Four results that lie a dilation apart make a tile. A few tiles at a time stay in the cache on
// their way: six sums of the inputs of each (take), their products with the six sums of the weights
// (multiply), and the results, which are sums of those (give). What is gained over the plain
// convolution is half of the multiplications; what must not be lost again is the time for memory,
// so the next tiles are fetched while these are multiplied.
//
// Compiled on the machine that runs it, for the registers that it has.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

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

Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }

struct Free {
  void operator()(float* numbers) const { std::free(numbers); }
};
using Numbers = std::unique_ptr<float[], Free>;

Numbers zeros(int64_t count) {
  const int64_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  float* numbers = static_cast<float*>(std::aligned_alloc(64, bytes));
  std::fill_n(numbers, count, 0.0f);
  return Numbers(numbers);
}

struct Job {
  const float *value, *weights, *bias;
  float* found;
  int64_t length, channels_in, channels_out, padding, dilation, positions;
  std::vector<int64_t> tiles;  // the first position of each
  const float* nothing;        // what is read beyond the ends

  const float* read(int64_t tile, int64_t i) const {
    const int64_t at = tiles[tile] - padding + i * dilation;
    return at >= 0 && at < length ? value + at * channels_in : nothing;
  }
};

// The sums of the inputs of one tile; those of one kind lie `apart` numbers from the next.
void take(const Job& job, int64_t tile, float* sums, int64_t apart) {
  const float* from[READ];
  for (int64_t i = 0; i < READ; i++) from[i] = job.read(tile, i);
  for (int64_t c = 0; c < job.channels_in; c += LANES) {
    const Vector a = load(from[0] + c), b = load(from[1] + c), d = load(from[2] + c);
    const Vector e = load(from[3] + c), f = load(from[4] + c), g = load(from[5] + c);
    const Vector even = f - 4 * d, odd = e - 4 * b, near = f - d, far = 2 * (e - b);
    store(sums + c, 4 * a - 5 * d + f);
    store(sums + apart + c, even + odd);
    store(sums + 2 * apart + c, even - odd);
    store(sums + 3 * apart + c, near + far);
    store(sums + 4 * apart + c, near - far);
    store(sums + 5 * apart + c, 4 * b - 5 * e + g);
  }
}

// Products of TILES rows of sums with `P` panels of weights.
template <int64_t P>
void multiply(const float* sums, const float* weights, float* products, int64_t channels_in,
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

// The results of one tile from its products; those with one sum lie `apart` from the next. What lies
// beyond the last position goes nowhere.
void give(const Job& job, int64_t tile, const float* products, int64_t apart, float* nowhere) {
  float* to[MADE];
  for (int64_t i = 0; i < MADE; i++) {
    const int64_t at = job.tiles[tile] + i * job.dilation;
    to[i] = at < job.positions ? job.found + at * job.channels_out : nowhere;
  }
  for (int64_t c = 0; c < job.channels_out; c += LANES) {
    const float* from = products + c;
    const Vector a = load(from), z = load(from + 5 * apart);
    const Vector b = load(from + apart), d = load(from + 2 * apart);
    const Vector e = load(from + 3 * apart), f = load(from + 4 * apart);
    const Vector near = b + d, across = b - d, far = e + f, beyond = e - f;
    const Vector bias = job.bias ? load(job.bias + c) : Vector{};
    store(to[0] + c, a + near + far + bias);
    store(to[1] + c, across + 2 * beyond + bias);
    store(to[2] + c, near + 4 * far + bias);
    store(to[3] + c, across + 8 * beyond + z + bias);
  }
}

// Ask for what a later tile reads that the one before it does not, and for where this one writes.
// Inlined by force: a function that only prefetches has no effect, and GCC leaves its call out.
inline __attribute__((always_inline)) void fetch(const Job& job, int64_t later, int64_t tile) {
  const int64_t n_tiles = job.tiles.size();
  for (int64_t i = 1; later < n_tiles && i <= MADE; i++)
    for (int64_t c = 0; c < job.channels_in; c += LINE)
      __builtin_prefetch(job.read(later, i) + c, 0, 2);
  for (int64_t i = 0; tile < n_tiles && i < MADE; i++) {
    const int64_t at = job.tiles[tile] + i * job.dilation;
    for (int64_t c = 0; at < job.positions && c < job.channels_out; c += LINE)
      __builtin_prefetch(job.found + at * job.channels_out + c, 1, 2);
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

// Tiles `first` to `first + at_once` of one row.
void convolve(const Job& job, int64_t first, int64_t at_once, float* sums, float* products, float* nowhere) {
  const int64_t count = std::min<int64_t>(at_once, job.tiles.size() - first);
  const int64_t in = job.channels_in, out = job.channels_out, panels = out / PANEL;
  // A line more, lest all six fall on the same places of the cache.
  const int64_t sums_apart = at_once * in + LINE, products_apart = at_once * out + LINE;
  for (int64_t t = 0; t < count; t++) take(job, first + t, sums + t * in, sums_apart);
  for (int64_t s = 0; s < SUMS; s++)
    for (int64_t p = 0; p < panels; p += PANELS)
      for (int64_t t = 0; t < count; t += TILES) {
        if (p == 0) fetch(job, first + at_once + t + s, first + t + s);
        multiply_panels(sums + s * sums_apart + t * in, job.weights + (s * panels + p) * in * PANEL,
                        products + s * products_apart + t * out + p * PANEL, in, out,
                        std::min(PANELS, panels - p));
      }
  for (int64_t t = 0; t < count; t++) give(job, first + t, products + t * out, products_apart, nowhere);
}

}  // namespace

// value: (row, position, channel in); weights: (sum, panel, channel in, channel out of the panel);
// bias: (channel out) or null; found: (row, position, channel out). Channels come in whole panels.
extern "C" void seqlift_winograd(const float* value, const float* weights, const float* bias,
                                 float* found, int64_t rows, int64_t length, int64_t channels_in,
                                 int64_t channels_out, int64_t padding, int64_t dilation,
                                 int64_t threads) {
  const Numbers nothing = zeros(channels_in);
  Job whole{value,        weights, bias,     found,
            length,       channels_in, channels_out, padding,
            dilation,     length + 2 * padding - 2 * dilation, {}, nothing.get()};
  for (int64_t first = 0; first < whole.positions; first += MADE * dilation)
    for (int64_t i = first; i < std::min(first + dilation, whole.positions); i++)
      whole.tiles.push_back(i);
  // As many as keep the sums near, and enough to use the weights often where those are large.
  const int64_t at_once = TILES * std::max<int64_t>(2, channels_in / 32);
  const int64_t n_tiles = whole.tiles.size(), parts = (n_tiles + at_once - 1) / at_once;
#pragma omp parallel num_threads(threads)
  {
    const Numbers sums = zeros(SUMS * (at_once * channels_in + LINE));
    const Numbers products = zeros(SUMS * (at_once * channels_out + LINE));
    const Numbers nowhere = zeros(channels_out);
    Job job = whole;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < rows * parts; i++) {
      const int64_t row = i / parts;
      job.value = value + row * length * channels_in;
      job.found = found + row * whole.positions * channels_out;
      convolve(job, i % parts * at_once, at_once, sums.get(), products.get(), nowhere.get());
    }
  }
}
