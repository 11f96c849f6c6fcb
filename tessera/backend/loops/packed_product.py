"""A matrix product for loops, in C++: a factor that every turn takes is laid out once, before the loop.

    packed[panel][k][column]    columns of the factor in panels of two vectors, the last one filled up with zeros

A block of the result, some rows by one panel, stays in registers while the sum runs.
"""

from __future__ import annotations

SOURCE = """
#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64, MOST_ROWS = 12 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32, MOST_ROWS = 6 };
#else
enum { VECTOR_BYTES = 16, MOST_ROWS = 6 };
#endif

typedef Py_ssize_t Size;

template <typename T> struct Packed {
    typedef T Vector __attribute__((vector_size(VECTOR_BYTES)));
    static constexpr Size LANES = VECTOR_BYTES / sizeof(T), WIDTH = 2 * LANES;

    static Size bytes(Size inner, Size columns) { return (columns + WIDTH - 1) / WIDTH * WIDTH * inner * sizeof(T); }

    static void pack(T* to, const T* from, Size inner, Size columns, Size row_stride, Size column_stride) {
        for (Size first = 0; first < columns; first += WIDTH)
            for (Size k = 0; k < inner; k++)
                for (Size j = 0; j < WIDTH; j++)
                    *to++ = first + j < columns ? from[k * row_stride + (first + j) * column_stride] : T(0);
    }

    // ROWS rows of the result by one panel; ``count`` of its columns there really are.
    template <int ROWS>
    static void block(T* out, Size out_stride, const T* a, Size a_stride, const T* panel, Size inner, Size count,
                      const T* added, Size added_stride) {
        Vector sum[ROWS][2] = {};
        for (Size k = 0; k < inner; k++) {
            const Vector b0 = ((const Vector*)(panel + k * WIDTH))[0], b1 = ((const Vector*)(panel + k * WIDTH))[1];
            #pragma GCC unroll 16
            for (int r = 0; r < ROWS; r++) {
                const T factor = a[r * a_stride + k];
                sum[r][0] += factor * b0;
                sum[r][1] += factor * b1;
            }
        }
        for (int r = 0; r < ROWS; r++)
            for (Size j = 0; j < count; j++) {
                const T value = sum[r][j / LANES][j % LANES];
                out[r * out_stride + j] = added ? value + added[r * added_stride + j] : value;
            }
    }

    typedef void (*Block)(T*, Size, const T*, Size, const T*, Size, Size, const T*, Size);
    static constexpr Block blocks[] = {block<1>, block<2>, block<3>, block<4>, block<5>, block<6>
    #if defined(__AVX512F__)
        , block<7>, block<8>, block<9>, block<10>, block<11>, block<12>
    #endif
    };

    // out[rows, columns] = a[rows, inner] @ packed (+ added)
    static void multiply(T* out, const T* a, const T* packed, const T* added, Size rows, Size inner, Size columns,
                         Size out_stride, Size a_stride, Size added_stride, int threads) {
        const Size panels = (columns + WIDTH - 1) / WIDTH, parts = (rows + MOST_ROWS - 1) / MOST_ROWS;
        #pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
        for (Size p = 0; p < panels; p++) {
            const Size first = p * WIDTH, count = columns - first < WIDTH ? columns - first : WIDTH;
            for (Size part = 0; part < parts; part++) {
                const Size from = rows * part / parts, to = rows * (part + 1) / parts;
                blocks[to - from - 1](out + from * out_stride + first, out_stride, a + from * a_stride, a_stride,
                                      packed + p * WIDTH * inner, inner, count,
                                      added ? added + from * added_stride + first : nullptr, added_stride);
            }
        }
    }
};
template <typename T> constexpr typename Packed<T>::Block Packed<T>::blocks[];
"""
