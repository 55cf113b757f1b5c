/* lapack.h: the routines of LAPACK and BLAS that adapter/ calls, loaded at their first call.
 *
 * LAPACK lies in a module of its own (lapack_module.c, linked to whichever LAPACK the build found),
 * so a program that factorises nothing neither maps it nor starts its threads. Each routine runs on
 * the thread that calls it; several threads may call at a time. Matrices are fp64. */
#pragma once

#include "core/status.h"

/* Returned in place of LAPACK's info when there is no memory for its work space. */
enum { LAPACK_NO_MEMORY = -1010 };

/* Matrices are column-major without padding, overwritten as LAPACK's manual says. */
typedef struct {
    /* a [m,n] = u diag(s) vt by dgesdd, k = min(m,n): s [k], falling. job 'S': u [m,k], vt [k,n];
     * job 'N': singular values alone, u and vt may be NULL. */
    int (*svd)(char job, int m, int n, double *a, double *s, double *u, double *vt);
    /* a [m,n] = QR by dgeqrf: R in the upper triangle, reflectors below and in tau [min(m,n)] */
    int (*qr)(int m, int n, double *a, double *tau);
    /* a [m,n]: n columns of Q from the first k reflectors of qr, by dorgqr */
    int (*qr_q)(int m, int n, int k, double *a, const double *tau);
    /* Eigenvalues of a [n,n] by dgeev: real and imaginary parts [n]. */
    int (*eigenvalues)(int n, double *a, double *real, double *imaginary);
    /* c [m,n] = alpha a [m,k] b [k,n] + beta c by dgemm */
    void (*product)(const int size[3], double alpha, const double *a, const double *b, double beta,
                    double *c);
    /* For the loader: sets up at most `wanted` callers at a time; how many there may be. */
    int (*start)(int wanted);
} lapack_routines;

/* Loads LAPACK if need be and waits until this thread may call it; then lapack_leave, once per
 * success. SODA_ERR_MEMORY if there is no address space for it, SODA_ERR_UNSUPPORTED if its module
 * cannot be loaded. */
soda_status lapack_enter(const lapack_routines **routines);
void lapack_leave(void);

/* Loads LAPACK, if it can be, before there are threads that call it: loading changes the
 * environment, and needs address space that no other thread may take once it was looked for. What
 * fails is said by lapack_enter, if somebody calls it. */
void lapack_prepare(void);
