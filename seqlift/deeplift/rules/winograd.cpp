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
// makes the GIVEN tensors that are kept. These five are defined before this file.
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

// Not a number stays what it is.
inline Vector positive(Vector value) { return value < 0 ? Vector{} : value; }
inline Vector size(Vector value) { return value < 0 ? -value : value; }

struct Free {
  void operator()(float* numbers) const { std::free(numbers); }
};
using Numbers = std::unique_ptr<float[], Free>;

Numbers allocate(int64_t count) {
  const int64_t bytes = (count * sizeof(float) + 63) / 64 * 64;
  return Numbers(static_cast<float*>(std::aligned_alloc(64, bytes)));
}

// Tensors of one shape (row, position, channel). Rows of one may be shared by neighbouring rows.
template <int64_t N>
struct Tensors {
  const float* first[N + 1];  // never empty
  int64_t shared_by[N + 1];

  Tensors(const float* const* tensors, const int64_t* sharing) : first{}, shared_by{} {
    std::copy_n(tensors, N, first);
    std::copy_n(sharing, N, shared_by);
  }
  Tensors row(int64_t row, int64_t numbers) const {
    Tensors found = *this;
    for (int64_t n = 0; n < N; n++) found.first[n] += row / shared_by[n] * numbers;
    return found;
  }
};

struct Job {
  Tensors<TAKEN> taken;
  Tensors<BESIDE> beside;
  float* given[GIVEN];
  const float *weights, *bias;
  int64_t length, channels_in, channels_out, padding, dilation, positions;
  std::vector<int64_t> tiles;  // the first position of each
  const float* nothing;        // what is read beyond the ends

  const float* read(int64_t n, int64_t tile, int64_t i) const {
    const int64_t at = tiles[tile] - padding + i * dilation;
    return at >= 0 && at < length ? taken.first[n] + at * channels_in : nothing;
  }
};

// What is convolved, at one position: of nothing, TAKE makes nothing.
struct Taken {
  const float* from[TAKEN];

  Taken(const Job& job, int64_t tile, int64_t i) {
    for (int64_t n = 0; n < TAKEN; n++) from[n] = job.read(n, tile, i);
  }
  Vector at(int64_t c) const {
    Vector in[TAKEN];
    for (int64_t n = 0; n < TAKEN; n++) in[n] = load(from[n] + c);
    return TAKE(in);
  }
};

// The sums of the inputs of one tile; those of one kind lie `apart` numbers from the next.
void take(const Job& job, int64_t tile, float* sums, int64_t apart) {
  const Taken from[READ] = {{job, tile, 0}, {job, tile, 1}, {job, tile, 2},
                            {job, tile, 3}, {job, tile, 4}, {job, tile, 5}};
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

  Place(const Job& job, int64_t tile, int64_t i, float* nowhere) {
    const int64_t at = job.tiles[tile] + i * job.dilation, from = at * job.channels_out;
    const bool is_there = at < job.positions;
    for (int64_t n = 0; n < BESIDE; n++) beside[n] = is_there ? job.beside.first[n] + from : job.nothing;
    for (int64_t n = 0; n < GIVEN; n++) to[n] = is_there ? job.given[n] + from : nowhere;
  }
  void give(int64_t c, Vector result) const {
    Vector in[BESIDE + 1], out[GIVEN];
    for (int64_t n = 0; n < BESIDE; n++) in[n] = load(beside[n] + c);
    GIVE(result, in, out)
    for (int64_t n = 0; n < GIVEN; n++) store(to[n] + c, out[n]);
  }
};

// The results of one tile from its products; those with one sum lie `apart` from the next.
void give(const Job& job, int64_t tile, const float* products, int64_t apart, float* nowhere) {
  const Place place[MADE] = {{job, tile, 0, nowhere}, {job, tile, 1, nowhere},
                             {job, tile, 2, nowhere}, {job, tile, 3, nowhere}};
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
inline __attribute__((always_inline)) void fetch(const Job& job, int64_t tile) {
  const int64_t n_tiles = job.tiles.size();
  for (int64_t i = 0; tile < n_tiles && i < MADE; i++) {
    const int64_t at = job.tiles[tile] + i * job.dilation;
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
        if (p == 0) fetch(job, first + t + s);
        multiply_panels(sums + s * sums_apart + t * in, job.weights + (s * panels + p) * in * PANEL,
                        products + s * products_apart + t * out + p * PANEL, in, out,
                        std::min(PANELS, panels - p));
      }
  for (int64_t t = 0; t < count; t++) give(job, first + t, products + t * out, products_apart, nowhere);
}

}  // namespace

// taken: (row, position, channel in); weights: (sum, panel, channel in, channel out of the panel);
// bias: (channel out) or null; beside, given: (row, position, channel out). Channels come in whole
// panels. Of `taken` and `beside` a row is shared by as many as said. Returns whether there was memory.
extern "C" bool seqlift_winograd(const float* const* taken, const int64_t* taken_sharing,
                                 const float* const* beside, const int64_t* beside_sharing,
                                 float* const* given, const float* weights, const float* bias,
                                 int64_t rows, int64_t length, int64_t channels_in,
                                 int64_t channels_out, int64_t padding, int64_t dilation,
                                 int64_t threads) {
  // As many as keep the sums near, and enough to use the weights often where those are large.
  const int64_t at_once = TILES * std::max<int64_t>(2, channels_in / 32);
  const int64_t n_sums = SUMS * (at_once * channels_in + LINE);
  const int64_t n_products = SUMS * (at_once * channels_out + LINE);
  const int64_t each = n_sums + n_products + channels_out;
  const int64_t widest = std::max(channels_in, channels_out);
  const Numbers scratch = allocate(widest + threads * each);
  if (!scratch) return false;
  std::fill_n(scratch.get(), widest, 0.0f);

  const int64_t positions = length + 2 * padding - 2 * dilation;
  const Tensors<TAKEN> all_taken(taken, taken_sharing);
  const Tensors<BESIDE> all_beside(beside, beside_sharing);
  Job whole{all_taken, all_beside, {}, weights, bias, length, channels_in, channels_out,
            padding, dilation, positions, {}, scratch.get()};
  for (int64_t first = 0; first < positions; first += MADE * dilation)
    for (int64_t i = first; i < std::min(first + dilation, positions); i++)
      whole.tiles.push_back(i);
  const int64_t n_tiles = whole.tiles.size(), parts = (n_tiles + at_once - 1) / at_once;
#pragma omp parallel num_threads(threads)
  {
    float* const sums = scratch.get() + widest + omp_get_thread_num() * each;
    float* const products = sums + n_sums;
    float* const nowhere = products + n_products;
    Job job = whole;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < rows * parts; i++) {
      const int64_t row = i / parts;
      job.taken = all_taken.row(row, length * channels_in);
      job.beside = all_beside.row(row, positions * channels_out);
      for (int64_t n = 0; n < GIVEN; n++) job.given[n] = given[n] + row * positions * channels_out;
      convolve(job, i % parts * at_once, at_once, sums, products, nowhere);
    }
  }
  return true;
}
