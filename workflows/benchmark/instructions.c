/* What two cores can multiply and add at most, in float32, bfloat16 and float16, from registers alone.
 *
 *     gcc -O2 -march=native -fopenmp instructions.c -o instructions && OMP_NUM_THREADS=2 ./instructions
 *
 * For x86 processors with AVX-512. A precision whose instructions the processor lacks is left out. It
 * says whether convolutions in half precision can pay: where the instruction is no faster than that
 * for float32, no code that uses it is. AMX has instructions of its own, which are not timed here.
 */

#include <immintrin.h>
#include <omp.h>
#include <stdio.h>

#define CHAINS 12 /* as many as hide the time that one takes */
#define STEPS 100000000L

/* Multiply and add in CHAINS registers of a kind, `each` operations a time, and print the rate. */
#define TIME(name, each, kind, set, step, sum)                                              \
  {                                                                                         \
    float total = 0;                                                                        \
    const double started = omp_get_wtime();                                                 \
    _Pragma("omp parallel reduction(+ : total)") {                                          \
      kind chain[CHAINS];                                                                   \
      for (int i = 0; i < CHAINS; i++) chain[i] = set;                                      \
      for (long n = 0; n < STEPS; n++)                                                      \
        _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) chain[i] = step(chain[i]); \
      for (int i = 0; i < CHAINS; i++) total += sum(chain[i]);                              \
    }                                                                                       \
    const double seconds = omp_get_wtime() - started;                                       \
    const double rate = 1e-9 * omp_get_max_threads() * CHAINS * STEPS * each / seconds;     \
    printf("%s: %.0f GFLOP/s (%g)\n", name, rate, total); /* the total, lest it be left out */ \
  }

int main(void) {
  const __m512 half = _mm512_set1_ps(0.5f);
#define FLOAT32(x) _mm512_fmadd_ps(x, half, half)
  TIME("float32", 32, __m512, half, FLOAT32, _mm512_reduce_add_ps)
#ifdef __AVX512BF16__
  const __m512bh halves = (__m512bh)_mm512_set1_epi16(0x3f00);
#define BFLOAT16(x) _mm512_dpbf16_ps(x, halves, halves)
  TIME("bfloat16", 64, __m512, half, BFLOAT16, _mm512_reduce_add_ps)
#endif
#ifdef __AVX512FP16__
  const __m512h small = _mm512_set1_ph(0.5f);
#define FLOAT16(x) _mm512_fmadd_ph(x, small, small)
  TIME("float16", 64, __m512h, small, FLOAT16, _mm512_reduce_add_ph)
#endif
}
