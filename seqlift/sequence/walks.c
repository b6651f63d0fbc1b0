/* Follow many Eulerian walks, a row each: what walks.py does in numpy, and the same walks.

   A step waits for the one before it, so that a walk by itself keeps a core idle most of the time:
   ABREAST rows are followed at once. Their number is a constant, for the loop over them to be
   unrolled. An edge is out of bounds only in a walk that has ended. */

#include <stddef.h>
#include <stdint.h>

#define ABREAST 8

#define DEFINE_WALK(name, number)                                                                  \
    static inline void name##_abreast(const number *restrict successors,                           \
                                      ptrdiff_t *restrict next_edges,                              \
                                      const number *restrict starts, number *restrict vertices,    \
                                      ptrdiff_t n_rows, ptrdiff_t length, ptrdiff_t n_vertices) {  \
        number here[ABREAST];                                                                      \
        for (ptrdiff_t row = 0; row < n_rows; row++)                                               \
            here[row] = vertices[row * length] = starts[row];                                      \
        for (ptrdiff_t position = 1; position < length; position++)                                \
            for (ptrdiff_t row = 0; row < n_rows; row++) {                                         \
                ptrdiff_t edge = next_edges[row * n_vertices + here[row]]++;                       \
                if (edge >= length) edge = length - 1;                                             \
                here[row] = vertices[row * length + position] = successors[row * length + edge];   \
            }                                                                                      \
    }                                                                                              \
                                                                                                   \
    void name(const number *successors, ptrdiff_t *next_edges, const number *starts,               \
              number *vertices, ptrdiff_t n_rows, ptrdiff_t length, ptrdiff_t n_vertices) {        \
        ptrdiff_t row = 0;                                                                         \
        if (length == 0) return;                                                                   \
        for (; row + ABREAST <= n_rows; row += ABREAST)                                            \
            name##_abreast(successors + row * length, next_edges + row * n_vertices, starts + row, \
                           vertices + row * length, ABREAST, length, n_vertices);                  \
        for (; row < n_rows; row++)                                                                \
            name##_abreast(successors + row * length, next_edges + row * n_vertices, starts + row, \
                           vertices + row * length, 1, length, n_vertices);                        \
    }

DEFINE_WALK(seqlift_walk_1, uint8_t)
DEFINE_WALK(seqlift_walk_2, uint16_t)
DEFINE_WALK(seqlift_walk_4, uint32_t)
