#!/usr/bin/env bash
# races_test.sh COMPILER: what the tests under TSan rest on. A race between the threads of a parallel region is found;
# threads that OpenMP's barrier keeps apart are not taken for a race (LLVM's library tells TSan by its tool Archer).
set -eu
compiler=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >neighbour.c <<'C'
#include <omp.h>
#include <stdio.h>
int main(void)
{
    int own[3] = {0}, other[3] = {0}, threads = 0;
#pragma omp parallel num_threads(3)
    {
        int i = omp_get_thread_num();
        if (i == 0) threads = omp_get_num_threads();
        own[i] = i + 1;
#ifndef RACE
#pragma omp barrier
#endif
        other[i] = own[(i + 1) % 3];
    }
    printf("%d threads, sum %d\n", threads, other[0] + other[1] + other[2]);
    return threads != 3;
}
C
export TSAN_OPTIONS=ignore_noninstrumented_modules=1
openmp=$(dirname "$(realpath "$("$compiler" -print-file-name=libomp.so)")") # Archer lies beside it, as in soda's own builds
flags=(-g -fopenmp -fsanitize=thread "-Wl,-rpath,$openmp")
"$compiler" "${flags[@]}" neighbour.c -o apart
"$compiler" "${flags[@]}" -DRACE neighbour.c -o race
./apart >apart.log 2>&1 || { cat apart.log; echo "a barrier of OpenMP was taken for a race" >&2; exit 1; }
grep -qx "3 threads, sum 6" apart.log
for _ in 1 2 3 4 5; do # one thread may be done before the next begins; TSan still sees it, but may forget
    ./race >race.log 2>&1 || { grep -q 'WARNING: ThreadSanitizer: data race' race.log && exit 0; }
done
cat race.log
echo "not found: a seeded race" >&2
exit 1
