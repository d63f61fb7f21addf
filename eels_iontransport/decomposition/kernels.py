"""What is computed spectrum by spectrum, compiled: lines, linear parameters, search in a box, uncertainties.

One problem is n spectra of m channels fitted together: K lines each, seen through a response, over q background
functions. The parameters that are searched for are a vector x: L of the first spectrum alone, L of the second ... and
G that all share. A spectrum sees C = L + G of them, its columns. Areas (not negative) and background are linear and
solved for exactly at every x, so that they are no parameters of the search.

All of it is in one file because a cached entry point is compiled anew only when its own file changes. The entry points
release the interpreter and share nothing, so that several threads can each work on some of the problems.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
from numba import njit

from .compiling import compiled

# Which column moves what. columns (n, K, 3): of centre, sigma and gamma of a line, -1 where held at held (n, K, 3).
# offset (K,): column added to the centre, or -1. lower, upper, (n L + G,): limits of x. private: L.
# limited, fwhm (2,), sigma_limits (K, 2): limits on the FWHM, with which sigma is a fraction between what they allow.
# information (G, G): inverse covariance of what is known of the shared parameters beforehand.
Table = namedtuple("Table", "columns held offset lower upper private limited fwhm sigma_limits information")

# N problems. energy, weight, target (N, n, m): target is counts times weight, weight 1 / sigma or 0 where masked.
# background (N, n, q, m) functions. response (N, n, j, 4): weight, offset, sigma, gamma of its Voigts. known (N, G).
Batch = namedtuple("Batch", "energy weight target background response known")

# x (N, n L + G), chi2 (N, n), areas and their variance, held_variance with all shapes held (N, n, K), background
# coefficients (N, n, q), covariance (N, n, C, C) of the columns, nan where held or at a limit, transfer (N, n, L, G)
# and shared (N, G, G): the covariance between private parameters of two spectra is transfer shared transfer^T.
# railed (N, n L + G). status (N, 3): converged, optima, evaluations.
Results = namedtuple(
    "Results", "x chi2 areas area_variance held_variance background covariance transfer shared railed status"
)

# stack (n, q + K + C, m): weighted background (orthonormal), lines, columns. slopes (n, K, 3, m): of the lines by
# centre, sigma, gamma. chain (n, K, 2): of sigma by its parameter and by gamma. gram (n, q + K + C, q + K + C).
State = namedtuple("State", "stack slopes chain gram areas active residual chi2")

# Normal equations of a step in n (L + K) + G variables: L columns and K areas of each spectrum, and what all share.
# a (n, L + K, L + K), b (n, L + K, G), c (G, G). low, high: how far each may go; scale: what counts as far.
# work_a, work_b, work_c: without the spectra's own variables, fixed as eliminated says; factor_c: Cholesky of work_c.
Equations = namedtuple(
    "Equations", "a b c descent step aim trial fixed low high scale work_a work_b work_c factor_c product eliminated"
)

RAIL = 1e-3  # a parameter this close to a limit, in parts of its range, has railed
DEEP = 5.0  # an area that the data would have so many sigma below zero is zero
SAME_OPTIMUM_MEV = 0.05
SAME_BASIN = 0.02  # as near to an optimum, in parts of the ranges, the search would only find it again
ITERATIONS = 300
STEADY = 1e-9  # a step that promises less than this of chi-squared is not worth taking
ENOUGH = 1e-3  # where the search has to give up, what promises less than this moves nothing by more than 0.03 sigma
STIFFNESS = 1e-12  # keeps equations definite where a variable moves nothing, and is not felt elsewhere
FIRST_REACH = 0.3  # of a first step, in parts of the ranges of the parameters
INSERTIONS = 4  # so often a line that lost its area is tried elsewhere
INSERTION_GAIN = 1e-3

_REASSOCIATE = {"reassoc", "contract", "arcp", "nsz"}  # what vector units need; nan and infinity stay what they are
_inner = njit(nogil=True, error_model="numpy")
_short = njit(nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})  # too short for vector units
_fast = njit(nogil=True, error_model="numpy", fastmath=_REASSOCIATE)
_inline = njit(nogil=True, error_model="numpy", fastmath=_REASSOCIATE, forceinline=True)

_NARROWEST_MEV = 1e-4  # a narrower line has no width on any detector
_SQRT_HALF = math.sqrt(0.5)
_RSQRT_PI = 1.0 / math.sqrt(math.pi)
# Full width at half maximum after Olivero and Longbothum, as in measure.lineshapes.
_LORENTZ, _LORENTZ_SQUARED, _GAUSS_SQUARED = 1.0692, 0.8664, 8.0 * math.log(2.0)

# w(z) = 2 p(Z) / (W - iz)^2 + 1 / (sqrt(pi) (W - iz)), Z = (W + iz) / (W - iz), with p of degree 23: Weideman, SIAM J.
# Numer. Anal. 31, 1497 (1994), eq. 38 with N = 24. Good to 1e-10 in the upper half plane.
_W = 4.119534287814235


@_inline
def _polynomial(r, s):
    """(p - p0) / Z without its last step, for r = 2 Re Z and s = |Z|^2: real arithmetic, two products a coefficient."""
    b1 = -1.5137469056014652e-10
    b0 = 4.904820416137823e-09 + r * b1
    b1, b0 = b0, 1.3310453109352295e-09 + r * b0 - s * b1
    b1, b0 = b0, -3.0082823610602605e-08 + r * b0 - s * b1
    b1, b0 = b0, -1.9122258957660688e-08 + r * b0 - s * b1
    b1, b0 = b0, 1.87383434459447e-07 + r * b0 - s * b1
    b1, b0 = b0, 2.5682641329013596e-07 + r * b0 - s * b1
    b1, b0 = b0, -1.085647579377311e-06 + r * b0 - s * b1
    b1, b0 = b0, -3.038893184278043e-06 + r * b0 - s * b1
    b1, b0 = b0, 4.1394617242916025e-06 + r * b0 - s * b1
    b1, b0 = b0, 3.0471066082970273e-05 + r * b0 - s * b1
    b1, b0 = b0, 2.4331415462208058e-05 + r * b0 - s * b1
    b1, b0 = b0, -0.00020748431511423976 + r * b0 - s * b1
    b1, b0 = b0, -0.0007816642995623942 + r * b0 - s * b1
    b1, b0 = b0, -0.000493642690128576 + r * b0 - s * b1
    b1, b0 = b0, 0.006215006362949158 + r * b0 - s * b1
    b1, b0 = b0, 0.03372336685531593 + r * b0 - s * b1
    b1, b0 = b0, 0.10838723484566715 + r * b0 - s * b1
    b1, b0 = b0, 0.26549639598807695 + r * b0 - s * b1
    b1, b0 = b0, 0.5361139535729114 + r * b0 - s * b1
    b1, b0 = b0, 0.9257087138588673 + r * b0 - s * b1
    b1, b0 = b0, 1.394819673379119 + r * b0 - s * b1
    b1, b0 = b0, 1.85628649920554 + r * b0 - s * b1
    return b0, b1


@_inline
def _faddeeva(x, y, nearer, further):
    """Real and imaginary part of w(x + iy), y >= 0; nearer = W - y, further = W + y."""
    inverse = 1.0 / (further * further + x * x)
    ur, ui = further * inverse, x * inverse
    zr, zi = nearer * ur - x * ui, nearer * ui + x * ur
    b0, b1 = _polynomial(2.0 * zr, zr * zr + zi * zi)
    pr, pi = 2.1978589365315417 + zr * b0 - (zr * zr + zi * zi) * b1, zi * b0
    tr, ti = 2.0 * (pr * ur - pi * ui) + _RSQRT_PI, 2.0 * (pr * ui + pi * ur)
    return tr * ur - ti * ui, tr * ui + ti * ur


@_fast
def add_voigt(energy, weight, component, centre, sigma, gamma, value, slopes):
    """Add a line seen through one Voigt of the response, times the channels' weight: value (m,), slopes (3, m)."""
    width = max(math.sqrt(sigma * sigma + component[2] * component[2]), _NARROWEST_MEV)
    centre, gamma = centre + component[1], gamma + component[3]
    q = _SQRT_HALF / width
    y = gamma * q
    nearer, further = _W - y, _W + y
    height, by_width = component[0] * q * _RSQRT_PI, sigma / (width * width)
    by_centre, by_sigma, by_gamma = slopes[0], slopes[1], slopes[2]
    for i in range(energy.size):
        distance = energy[i] - centre
        x = distance * q
        re, im = _faddeeva(x, y, nearer, further)
        factor = height * weight[i]
        v = factor * re
        # dw/dz = 2i / sqrt(pi) - 2 z w, and V is homogeneous of degree -1 in distance, width and gamma.
        by_energy = -2.0 * (x * re - y * im) * factor * q
        gamma_slope = (2.0 * (x * im + y * re) - 2.0 * _RSQRT_PI) * factor * q
        value[i] += v
        by_centre[i] -= by_energy
        by_sigma[i] -= (v + distance * by_energy + gamma * gamma_slope) * by_width
        by_gamma[i] += gamma_slope


@_inner
def seen_line(energy, weight, response, centre, sigma, gamma, value, slopes):
    """A line through the response, (m,), and its slopes (3, m) by centre, sigma and gamma."""
    value[:] = 0.0
    slopes[:] = 0.0
    for j in range(response.shape[0]):
        add_voigt(energy, weight, response[j], centre, sigma, gamma, value, slopes)


@_fast
def products(stack, first, last, gram):
    """Fill in the scalar products of rows first..last-1 of stack with all rows before and themselves."""
    m = stack.shape[1]
    for i in range(first, last):
        j = 0
        while j + 3 <= i:
            s0 = s1 = s2 = s3 = 0.0
            for k in range(m):
                v = stack[i, k]
                s0 += v * stack[j, k]
                s1 += v * stack[j + 1, k]
                s2 += v * stack[j + 2, k]
                s3 += v * stack[j + 3, k]
            gram[i, j], gram[i, j + 1], gram[i, j + 2], gram[i, j + 3] = s0, s1, s2, s3
            j += 4
        while j <= i:
            gram[i, j] = dot(stack[i], stack[j])
            j += 1
        for j in range(i):
            gram[j, i] = gram[i, j]


@_fast
def dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@_short
def factorise(a, size):
    """Cholesky factor of the leading part of a, in its lower triangle; False where a is not positive definite."""
    for i in range(size):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if j < i:
                a[i, j] = total / a[j, j]
            elif total > 0.0:
                a[i, i] = math.sqrt(total)
            else:
                return False
    return True


@_short
def forward(factor, size, x):
    """Solve factor y = x in place."""
    for i in range(size):
        total = x[i]
        for k in range(i):
            total -= factor[i, k] * x[k]
        x[i] = total / factor[i, i]


@_short
def forward_all(factor, x):
    """Solve factor y = x in place, for every column of x (size, count)."""
    size, count = x.shape
    for i in range(size):
        for k in range(i):
            for g in range(count):
                x[i, g] -= factor[i, k] * x[k, g]
        inverse = 1.0 / factor[i, i]
        for g in range(count):
            x[i, g] *= inverse


@_short
def backward(factor, size, x):
    """Solve factor^T y = x in place."""
    for i in range(size - 1, -1, -1):
        x[i] /= factor[i, i]
        for k in range(i):
            x[k] -= factor[i, k] * x[i]


@_inner
def non_negative(gram, moments, areas, active, factor, chosen, solution):
    """Minimise areas^T gram areas / 2 - moments^T areas with areas >= 0, by adding and dropping lines."""
    lines = moments.size
    active[:] = True
    for attempt in range(6 * lines + 6):
        count = 0
        for i in range(lines):
            areas[i] = 0.0
            if active[i] and gram[i, i] > 0.0:
                chosen[count] = i
                count += 1
        for p in range(count):
            i = chosen[p]
            solution[p] = moments[i] / math.sqrt(gram[i, i])
            for r in range(p):
                j = chosen[r]
                factor[p, r] = gram[i, j] / math.sqrt(gram[i, i] * gram[j, j])
            factor[p, p] = 1.0 + 1e-13
        if not factorise(factor, count):
            active[chosen[count - 1]] = False
            continue
        forward(factor, count, solution)
        backward(factor, count, solution)
        lowest, drop = 0.0, -1
        for p in range(count):
            if solution[p] < lowest:
                lowest, drop = solution[p], chosen[p]
        if drop >= 0:
            active[drop] = False
            continue
        for p in range(count):
            areas[chosen[p]] = solution[p] / math.sqrt(gram[chosen[p], chosen[p]])
        best, take = 0.0, -1
        for i in range(lines):
            if not active[i] and gram[i, i] > 0.0:
                slope = moments[i]
                for j in range(lines):
                    slope -= gram[i, j] * areas[j]
                if slope > best * math.sqrt(gram[i, i]) + 1e-9 * abs(moments[i]):
                    best, take = slope / math.sqrt(gram[i, i]), i
        if take < 0 or attempt > 4 * lines:
            break
        active[take] = True
    for i in range(lines):
        active[i] = areas[i] > 0.0


@_inner
def sigma_at_fwhm(fwhm, gamma):
    """The sigma of a Voigt of this FWHM, and its slope by gamma; 0 where gamma alone is wider."""
    gauss = fwhm - _LORENTZ * gamma
    square = gauss * gauss - _LORENTZ_SQUARED * gamma * gamma
    if gauss <= 0.0 or square <= 0.0:
        return 0.0, 0.0
    sigma = math.sqrt(square / _GAUSS_SQUARED)
    return sigma, -(_LORENTZ * gauss + _LORENTZ_SQUARED * gamma) / (_GAUSS_SQUARED * sigma)


@_inner
def limited_sigma(fwhm, limits, fraction, gamma):
    """sigma between those that the limits on FWHM and sigma allow, and its slopes by the fraction and by gamma."""
    low, low_slope = sigma_at_fwhm(fwhm[0], gamma)
    high, high_slope = sigma_at_fwhm(fwhm[1], gamma)
    if low < limits[0]:
        low, low_slope = limits[0], 0.0
    if high > limits[1]:
        high, high_slope = limits[1], 0.0
    high = max(high, low)
    return low + fraction * (high - low), high - low, (1.0 - fraction) * low_slope + fraction * high_slope


@_inner
def place(table, block, column):
    """Index in x of a column of a block."""
    private = table.private
    if column < private:
        return block * private + column
    return table.columns.shape[0] * private + column - private


@_inner
def is_held(table, block, line):
    columns = table.columns[block, line]
    return columns[0] < 0 and columns[1] < 0 and columns[2] < 0 and table.offset[line] < 0


@_inner
def line_parameters(table, x, block, line, chain):
    """centre, sigma, gamma of a line; chain (2,) receives the slopes of sigma by its own parameter and by gamma."""
    columns, held = table.columns[block, line], table.held[block, line]
    centre = held[0] if columns[0] < 0 else x[place(table, block, columns[0])]
    sigma = held[1] if columns[1] < 0 else x[place(table, block, columns[1])]
    gamma = held[2] if columns[2] < 0 else x[place(table, block, columns[2])]
    if table.offset[line] >= 0:
        centre += x[place(table, block, table.offset[line])]
    chain[0], chain[1] = 1.0, 0.0
    if table.limited:
        sigma, chain[0], chain[1] = limited_sigma(table.fwhm, table.sigma_limits[line], sigma, gamma)
    return centre, sigma, gamma


@_inner
def draw_lines(table, batch, i, block, x, state, held):
    """Lines of a spectrum at x: those that move, or those that are held."""
    q = batch.background.shape[2]
    for line in range(table.columns.shape[1]):
        if is_held(table, block, line) == held:
            centre, sigma, gamma = line_parameters(table, x, block, line, state.chain[block, line])
            seen_line(
                batch.energy[i, block], batch.weight[i, block], batch.response[i, block], centre, sigma, gamma,
                state.stack[block, q + line], state.slopes[block, line],
            )  # fmt: skip


@_inner
def straighten(batch, i, block, stack, triangle, target):
    """Orthonormal weighted background in the first rows of stack, its triangle, and the target without it."""
    q, weight = batch.background.shape[2], batch.weight[i, block]
    for a in range(q):
        stack[a] = batch.background[i, block, a] * weight
        length = math.sqrt(dot(stack[a], stack[a]))
        for b in range(a):
            triangle[a, b] = 0.0
        for _ in range(2):  # twice is enough
            for b in range(a):
                part = dot(stack[a], stack[b])
                triangle[a, b] += part
                stack[a] -= part * stack[b]
        rest = math.sqrt(dot(stack[a], stack[a]))
        if rest > 1e-12 * length:
            triangle[a, a] = rest
            stack[a] /= rest
        else:  # nothing new beside the functions before
            triangle[a, a] = 1.0
            stack[a] = 0.0
    target[:] = batch.target[i, block]
    for _ in range(2):
        for a in range(q):
            target -= dot(target, stack[a]) * stack[a]


@_inner
def evaluate(table, batch, i, x, target, state, scratch):
    """Lines, areas and residual of every spectrum at x; returns chi-squared with what is known beforehand."""
    blocks, lines = table.columns.shape[:2]
    q = batch.background.shape[2]
    gram_left, moments, factor, chosen, solution = scratch
    total = known_chi2(table, batch, i, x)
    for b in range(blocks):
        draw_lines(table, batch, i, b, x, state, False)
        stack, gram, areas, residual = state.stack[b], state.gram[b], state.areas[b], state.residual[b]
        products(stack, q, q + lines, gram)
        for k in range(lines):
            moments[k] = dot(stack[q + k], target[b])
            for j in range(k + 1):
                part = gram[q + k, q + j]
                for a in range(q):
                    part -= gram[q + k, a] * gram[q + j, a]
                gram_left[k, j] = gram_left[j, k] = part
            if gram_left[k, k] < 1e-12 * gram[q + k, q + k]:
                gram_left[k, k] = 0.0  # nothing of the line is left beside the background
        non_negative(gram_left, moments, areas, state.active[b], factor, chosen, solution)
        residual[:] = target[b]
        for k in range(lines):
            if areas[k] > 0.0:
                subtract(residual, areas[k], stack[q + k])
        for a in range(q):
            part = 0.0
            for k in range(lines):
                part -= areas[k] * gram[q + k, a]
            subtract(residual, part, stack[a])
        state.chi2[b] = dot(residual, residual)
        total += state.chi2[b]
    return total


@_fast
def subtract(residual, factor, row):
    for i in range(residual.size):
        residual[i] -= factor * row[i]


@_inner
def known_chi2(table, batch, i, x):
    """Chi-squared of the shared parameters against what is known of them beforehand."""
    count = table.information.shape[0]
    start = x.size - count
    total = 0.0
    for a in range(count):
        for b in range(count):
            total += table.information[a, b] * (x[start + a] - batch.known[i, a]) * (x[start + b] - batch.known[i, b])
    return total


@_inner
def draw_columns(table, block, q, state):
    """Derivatives of the weighted model of a spectrum by its columns, areas held."""
    lines = table.columns.shape[1]
    columns = state.stack[block, q + lines :]
    columns[:] = 0.0
    for k in range(lines):
        area = state.areas[block, k]
        if area <= 0.0:
            continue
        by_centre, by_sigma, by_gamma = state.slopes[block, k]
        centre, sigma, gamma = table.columns[block, k]
        chain = state.chain[block, k]
        if centre >= 0:
            subtract(columns[centre], -area, by_centre)
        if table.offset[k] >= 0:
            subtract(columns[table.offset[k]], -area, by_centre)
        if sigma >= 0:
            subtract(columns[sigma], -area * chain[0], by_sigma)
        if gamma >= 0:
            subtract(columns[gamma], -area, by_gamma)
            if chain[1] != 0.0:
                subtract(columns[gamma], -area * chain[1], by_sigma)


@_inner
def normal_equations(table, batch, i, x, state, equations):
    """The equations of a Gauss-Newton step from x in columns and areas, the background made up for.

    Areas take part although they are solved for anyway: a step has to know which of them would go below zero.
    """
    blocks, lines = table.columns.shape[:2]
    q, private, shared = batch.background.shape[2], table.private, table.information.shape[0]
    own, first = private + lines, q + lines
    start = x.size - shared
    a, b, c, descent = equations.a, equations.b, equations.c, equations.descent
    equations.eliminated[:] = -1  # nothing of these equations yet
    c[:] = table.information
    for g in range(shared):
        descent[blocks * own + g] = 0.0
        for h in range(shared):
            descent[blocks * own + g] -= table.information[g, h] * (x[start + h] - batch.known[i, h])
    for n in range(blocks):
        draw_columns(table, n, q, state)
        stack, gram, residual = state.stack[n], state.gram[n], state.residual[n]
        products(stack, first, first + private + shared, gram)
        for s in range(own):
            row = first + s if s < private else q + s - private
            for r in range(s + 1):
                a[n, s, r] = a[n, r, s] = beside_background(gram, q, row, first + r if r < private else q + r - private)
            for g in range(shared):
                b[n, s, g] = beside_background(gram, q, row, first + private + g)
            descent[n * own + s] = dot(stack[row], residual)
        for g in range(shared):
            row = first + private + g
            for h in range(shared):
                c[g, h] += beside_background(gram, q, row, first + private + h)
            descent[blocks * own + g] += dot(stack[row], residual)


@_inner
def beside_background(gram, q, row, other):
    """Scalar product of two rows without what the background makes up for."""
    part = gram[row, other]
    for a in range(q):
        part -= gram[row, a] * gram[other, a]
    return part


@_short
def eliminate(a, b, c):
    """Take each spectrum's own variables out of [[a, b], [b^T, c]], in place; False where not positive definite.

    a (n, V, V), the blocks of the own variables, become their Cholesky factors, b what is left beside them, and c the
    equations of the shared variables alone.
    """
    blocks, own, shared = b.shape
    for n in range(blocks):
        if not factorise(a[n], own):
            return False
        forward_all(a[n], b[n])
        for s in range(own):
            for g in range(shared):
                for h in range(g + 1):
                    c[g, h] -= b[n, s, g] * b[n, s, h]
    return True


@_short
def forward_own(a, b, x):
    """First half of solving in place for the right side x, with what `eliminate` left: down to the shared variables."""
    blocks, own, shared = b.shape
    start = blocks * own
    for n in range(blocks):
        forward(a[n], own, x[n * own : (n + 1) * own])
        for s in range(own):
            for g in range(shared):
                x[start + g] -= b[n, s, g] * x[n * own + s]


@_short
def solve_shared_and_back(a, b, c, x):
    """Second half: c is the Cholesky factor of the shared variables' equations."""
    blocks, own, shared = b.shape
    start = blocks * own
    forward(c, shared, x[start:])
    backward(c, shared, x[start:])
    for n in range(blocks):
        for s in range(own):
            for g in range(shared):
                x[n * own + s] -= b[n, s, g] * x[start + g]
        backward(a[n], own, x[n * own : (n + 1) * own])


@_short
def multiply(equations, x, result):
    """result = normal matrix times x."""
    a, b, c = equations.a, equations.b, equations.c
    blocks, own, shared = b.shape
    start = blocks * own
    for g in range(shared):
        total = 0.0
        for h in range(shared):
            total += c[g, h] * x[start + h]
        result[start + g] = total
    for n in range(blocks):
        for s in range(own):
            at, total = n * own + s, 0.0
            for r in range(own):
                total += a[n, s, r] * x[n * own + r]
            for g in range(shared):
                total += b[n, s, g] * x[start + g]
                result[start + g] += b[n, s, g] * x[at]
            result[at] = total


@_inner
def span(table, p):
    """Range of a parameter, by which it is scaled; 1 where it has none."""
    width = table.upper[p] - table.lower[p]
    return width if width > 0.0 and width < 1e300 else 1.0


@_inner
def set_limits(table, equations, x, areas, reach):
    """How far each variable may go, and what counts as far: parameters within reach and limits, areas down to zero."""
    blocks, own, shared = equations.b.shape
    private = table.private
    low, high, scale = equations.low, equations.high, equations.scale
    for v in range(low.size):
        if v < blocks * own and v % own >= private:
            size = equations.a[v // own, v % own, v % own]
            scale[v] = 1.0 / math.sqrt(size) if size > 0.0 else 1.0
            low[v], high[v] = -areas[v // own, v % own - private], np.inf
            if size <= 0.0:
                high[v] = 0.0
        else:
            p = v // own * private + v % own if v < blocks * own else v - blocks * own + blocks * private
            width = span(table, p)
            scale[v] = width
            low[v] = max(table.lower[p] - x[p], -reach * width)
            high[v] = min(table.upper[p] - x[p], reach * width)


@_inner
def eliminate_free(equations):
    """Take out the own variables that are free; kept as long as the same ones are. False where it cannot be done."""
    a, b, c, fixed = equations.work_a, equations.work_b, equations.work_c, equations.fixed
    blocks, own, _ = b.shape
    same = True
    for v in range(blocks * own):
        same = same and equations.eliminated[v] == fixed[v]
    if same:
        return True
    a[:], b[:], c[:] = equations.a, equations.b, equations.c
    for v in range(blocks * own):
        n, s = v // own, v % own
        equations.eliminated[v] = fixed[v]
        if fixed[v]:
            a[n, s, :] = 0.0
            a[n, :, s] = 0.0
            b[n, s, :] = 0.0
            a[n, s, s] = 1.0
        else:
            a[n, s, s] += STIFFNESS * a[n, s, s] + 1e-9 / equations.scale[v] ** 2
    return eliminate(a, b, c)


@_inner
def solve_free(equations):
    """Where the free variables would go with the others fixed at step, in aim; False where it cannot be solved."""
    step, fixed, aim, c = equations.step, equations.fixed, equations.aim, equations.factor_c
    blocks, own, shared = equations.b.shape
    start = blocks * own
    if not eliminate_free(equations):
        return False
    for v in range(aim.size):
        aim[v] = step[v] if fixed[v] else 0.0
    multiply(equations, aim, equations.product)
    for v in range(aim.size):
        aim[v] = 0.0 if fixed[v] else equations.descent[v] - equations.product[v]
    c[:] = equations.work_c
    for g in range(shared):
        if fixed[start + g]:
            c[g, :g] = 0.0
            c[g:, g] = 0.0
            c[g, g] = 1.0
        else:
            c[g, g] += STIFFNESS * equations.c[g, g] + 1e-9 / equations.scale[start + g] ** 2
    if not factorise(c, shared):
        return False
    # A fixed shared variable takes no part, though what was eliminated still knows of it: its right side is kept at 0.
    forward_own(equations.work_a, equations.work_b, aim)
    for g in range(shared):
        if fixed[start + g]:
            aim[start + g] = 0.0
    solve_shared_and_back(equations.work_a, equations.work_b, c, aim)
    return True


@_inner
def box_step(table, equations, x, areas, reach):
    """The step to the lowest place of the model within the limits, and within reach of x, in parts of the ranges.

    An active-set method: the free variables go to their lowest place, and those that a limit stops are fixed there, all
    at once where that lowers the model, else the first on the way; then the one that pulls away most is released.
    Returns the chi-squared that the step promises to take off; negative where the equations cannot be solved.
    """
    step, fixed, low, high = equations.step, equations.fixed, equations.low, equations.high
    aim, trial = equations.aim, equations.trial
    size, promised = step.size, 0.0
    set_limits(table, equations, x, areas, reach)
    for v in range(size):
        pull = equations.descent[v]
        fixed[v] = low[v] >= high[v] or (low[v] >= 0.0 and pull <= 0.0) or (high[v] <= 0.0 and pull >= 0.0)
        step[v] = 0.0
    for _ in range(3 * size + 3):
        if not solve_free(equations):
            return -1.0
        part, first, stopped = 1.0, -1, 0
        for v in range(size):
            trial[v] = step[v] if fixed[v] else min(max(aim[v], low[v]), high[v])
            if not fixed[v] and trial[v] != aim[v]:
                stopped += 1
                share = (trial[v] - step[v]) / (aim[v] - step[v])
                if share < part or first < 0:
                    part, first = share, v
        promise = model_gain(equations, trial)
        if stopped > 1 and promise <= promised:
            for v in range(size):
                if not fixed[v]:
                    trial[v] = trial[v] if v == first else step[v] + part * (aim[v] - step[v])
            promise = model_gain(equations, trial)
        for v in range(size):
            step[v] = trial[v]
            if not fixed[v] and (step[v] <= low[v] or step[v] >= high[v]):
                fixed[v] = True
        promised = promise
        if stopped > 0:
            continue
        most, release = 0.01 * STEADY, -1
        for v in range(size):
            if fixed[v] and low[v] < high[v]:
                pull = equations.descent[v] - equations.product[v]
                pull = pull if step[v] <= low[v] else -pull
                worth = pull * pull / max(diagonal(equations, v), 1e-300) if pull > 0.0 else 0.0
                if worth > most:
                    most, release = worth, v
        if release < 0:
            break
        fixed[release] = False
    return promised


@_inner
def diagonal(equations, v):
    blocks, own, _ = equations.b.shape
    if v < blocks * own:
        return equations.a[v // own, v % own, v % own]
    return equations.c[v - blocks * own, v - blocks * own]


@_inner
def model_gain(equations, step):
    """Chi-squared that a step takes off in the model; leaves the normal matrix times the step in product."""
    multiply(equations, step, equations.product)
    gain = 0.0
    for v in range(step.size):
        gain += step[v] * (2.0 * equations.descent[v] - equations.product[v])
    return gain


@_inner
def move(table, equations, x, trial_x):
    """x after the step; returns how far it went, in parts of the ranges."""
    blocks, own, shared = equations.b.shape
    private, length = table.private, 0.0
    for p in range(x.size):
        v = p // private * own + p % private if p < blocks * private else p - blocks * private + blocks * own
        trial_x[p] = min(max(x[p] + equations.step[v], table.lower[p]), table.upper[p])
        length = max(length, abs(trial_x[p] - x[p]) / equations.scale[v])
    return length


@_inner
def insert_line(table, batch, i, x, state, trial_value, trial_slopes):
    """Put a line that lost its area, and thus feels no gradient, where the residual has most room for it.

    Only a line whose centre is its own. Returns False where there is no such line or no such place.
    """
    blocks, lines = table.columns.shape[:2]
    best, at, centre_there = INSERTION_GAIN, -1, 0.0
    chain = np.empty(2)
    for b in range(blocks):
        for k in range(lines):
            column = table.columns[b, k, 0]
            if state.areas[b, k] > 0.0 or column < 0 or (blocks > 1 and column >= table.private):
                continue
            p = place(table, b, column)
            if not math.isfinite(table.upper[p] - table.lower[p]):
                continue
            centre, sigma, gamma = line_parameters(table, x, b, k, chain)
            offset = centre - x[p]
            for part in range(9):
                trial = table.lower[p] + (table.upper[p] - table.lower[p]) * part / 8.0
                seen_line(
                    batch.energy[i, b], batch.weight[i, b], batch.response[i, b], trial + offset, sigma, gamma,
                    trial_value, trial_slopes,
                )  # fmt: skip
                overlap = dot(trial_value, state.residual[b])
                size = dot(trial_value, trial_value)
                if overlap > 0.0 and size > 0.0 and overlap * overlap / size > best:
                    best, at, centre_there = overlap * overlap / size, p, trial
    if at < 0:
        return False
    x[at] = centre_there
    return True


@_inner
def leads_to_found(table, x, chi2, found, found_chi2):
    """Whether x lies beside an optimum that is known."""
    for f in range(found_chi2.size):
        furthest = 0.0
        for p in range(x.size):
            furthest = max(furthest, abs(x[p] - found[f, p]) / span(table, p))
        if furthest < SAME_BASIN and found_chi2[f] <= chi2 + INSERTION_GAIN:
            return True
    return False


@_inner
def search(table, batch, i, x, trial_x, target, now, trial, equations, scratch, counts, found, found_chi2):
    """Gauss-Newton steps in a box that grows and shrinks with how well they keep what they promise.

    x holds the result: a place where no step promises anything. counts: converged (0 or 1), optima, evaluations.
    found (f, P), found_chi2 (f,): optima of other starts; where one of them is near, nothing new is to be found.
    Returns chi-squared, the state at x, and the other state.
    """
    chi2 = evaluate(table, batch, i, x, target, now, scratch)
    reach, insertions, current, promised = FIRST_REACH, 0, False, np.inf
    counts[2] += 1
    counts[0] = 0
    for _ in range(ITERATIONS):
        if not current:
            normal_equations(table, batch, i, x, now, equations)
            current = True
        promised = box_step(table, equations, x, now.areas, reach)
        if reach < 1e-9:
            break
        if promised < 0.0:
            reach *= 0.25
            continue
        if promised <= STEADY:
            if insertions == INSERTIONS or not insert_line(
                table, batch, i, x, now, trial.residual[0], trial.slopes[0, 0]
            ):
                counts[0] = 1
                break
            insertions += 1
            chi2 = evaluate(table, batch, i, x, target, now, scratch)
            counts[2] += 1
            reach, current = FIRST_REACH, False
            continue
        length = move(table, equations, x, trial_x)
        trial_chi2 = evaluate(table, batch, i, trial_x, target, trial, scratch)
        counts[2] += 1
        gain = chi2 - trial_chi2
        slope = 2.0 * dot(equations.descent, equations.step)
        if gain > 0.0:
            x[:] = trial_x
            now, trial = trial, now
            chi2, current = trial_chi2, False
            if leads_to_found(table, x, chi2, found, found_chi2):
                break
            broken = abs(1.0 - gain / promised)  # part of the promise; grows with about the fourth power of the length
            if broken > 0.75:
                reach = 0.5 * length
            elif length > 0.9 * reach:
                reach = min(reach * min(max((0.2 / max(broken, 1e-6)) ** 0.25, 1.0), 4.0), 1.0)
        elif promised <= 1e-12 * chi2:
            counts[0] = 1  # rounding is all that is left
            break
        else:  # to the lowest point of the parabola through both values and the slope
            reach = length * min(max(0.5 * slope / (slope - gain), 0.1), 0.5)
    if 0.0 <= promised <= ENOUGH:
        counts[0] = 1
    return chi2, now, trial


@_inner
def invert_arrow(a, b, c, transfer, shared):
    """Inverse of [[a, b], [b^T, c]], a block diagonal.

    a, overwritten, becomes the inverse of its blocks; transfer = a^-1 b; shared: the inverse's last block. The inverse
    holds a^-1 + transfer shared transfer^T, -transfer shared, shared. False where it is not positive definite.
    """
    blocks, size, count = b.shape
    rest = c.copy()
    for n in range(blocks):
        if not invert(a[n]):
            return False
        for s in range(size):
            for g in range(count):
                total = 0.0
                for r in range(size):
                    total += a[n, s, r] * b[n, r, g]
                transfer[n, s, g] = total
        for g in range(count):
            for h in range(count):
                for s in range(size):
                    rest[g, h] -= b[n, s, g] * transfer[n, s, h]
    if not invert(rest):
        return False
    shared[:] = rest
    return True


@_inner
def invert(a):
    """The inverse of a positive definite matrix with about one in its diagonal, in place; False where it is not.

    Where a direction is not determined at all, rounding may make it a little less than that: it is given as much
    information as it takes to invert, and so comes out with a very large variance.
    """
    size = a.shape[0]
    factor, ridge = a.copy(), 1e-13
    for i in range(size):
        factor[i, i] += ridge
    while not factorise(factor, size):
        ridge *= 100.0
        if ridge > 1e-8:
            return False
        factor[:] = a
        for i in range(size):
            factor[i, i] += ridge
    column = np.empty(size)
    for i in range(size):
        column[:] = 0.0
        column[i] = 1.0
        forward(factor, size, column)
        backward(factor, size, column)
        a[:, i] = column
    return True


@_inner
def cut_off_variance(depth):
    """Variance of the part of a standard normal distribution that lies above depth >= 0."""
    hazard = math.exp(-0.5 * depth * depth) / math.sqrt(2.0 * math.pi) / (0.5 * math.erfc(depth * _SQRT_HALF))
    return 1.0 + depth * hazard - hazard * hazard


@_inner
def railed(table, x, p):
    width = span(table, p)
    free = table.lower[p] < table.upper[p]
    return free and (x[p] - table.lower[p] < RAIL * width or table.upper[p] - x[p] < RAIL * width)


@_inner
def scale_equations(table, x, equations, dead):
    """Bring the diagonal to one and take out what has no uncertainty: what railed, is held, or moves nothing."""
    a, b, c, descent, scale = equations.a, equations.b, equations.c, equations.descent, equations.scale
    blocks, own, shared = b.shape
    private, start = table.private, blocks * own
    for v in range(scale.size):
        n, s, g = v // own, v % own, v - start
        size = a[n, s, s] if v < start else c[g, g]
        dead[v] = size <= 0.0
        if v >= start or s < private:
            p = n * private + s if v < start else blocks * private + g
            dead[v] = dead[v] or railed(table, x, p) or table.lower[p] >= table.upper[p]
        scale[v] = 0.0 if dead[v] else 1.0 / math.sqrt(size)
        descent[v] *= scale[v]
    for n in range(blocks):
        for s in range(own):
            for r in range(own):
                a[n, s, r] *= scale[n * own + s] * scale[n * own + r]
            for g in range(shared):
                b[n, s, g] *= scale[n * own + s] * scale[start + g]
            if dead[n * own + s]:
                a[n, s, s] = 1.0
    for g in range(shared):
        for h in range(shared):
            c[g, h] *= scale[start + g] * scale[start + h]
        if dead[start + g]:
            c[g, g] = 1.0


@_inner
def free_areas_at_zero(private, active, equations, inverse, transfer, shared, dead):
    """Let areas at zero be as large as the data and their sign allow.

    Such an area is not known to be zero. Its posterior is a normal distribution cut off at zero, and what it trades
    against is as uncertain as the variance of that leaves it. a receives what the cutting off adds to the information.
    """
    blocks, own, count = equations.b.shape
    descent = equations.descent
    step = descent[blocks * own :].copy()
    for n in range(blocks):
        for g in range(count):
            for s in range(own):
                step[g] -= transfer[n, s, g] * descent[n * own + s]
    step = shared @ step
    for n in range(blocks):
        for s in range(private, own):
            if dead[n * own + s] or active[n, s - private]:
                continue
            variance, unbounded = inverse[n, s, s], 0.0
            for r in range(own):
                unbounded += inverse[n, s, r] * descent[n * own + r]
            for g in range(count):
                unbounded -= transfer[n, s, g] * step[g]
                for h in range(count):
                    variance += transfer[n, s, g] * shared[g, h] * transfer[n, s, h]
            depth = max(0.0, -unbounded / math.sqrt(variance))
            if depth < DEEP:
                equations.a[n, s, s] += 1.0 / (variance * cut_off_variance(depth)) - 1.0 / variance
            else:
                equations.a[n, s, s] += 1e12


@_inner
def held_variances(table, batch, state, results, i, scratch):
    """Variance of the areas with all shapes held."""
    gram_left, _, factor, chosen, unit = scratch
    blocks, lines = state.areas.shape
    q = batch.background.shape[2]
    results.held_variance[i] = 0.0
    for n in range(blocks):
        count = 0
        for k in range(lines):
            if state.active[n, k]:
                chosen[count] = k
                count += 1
        for p in range(count):
            for r in range(p + 1):
                factor[p, r] = beside_background(state.gram[n], q, q + chosen[p], q + chosen[r])
            factor[p, p] *= 1.0 + 1e-13
        if factorise(factor, count):
            for p in range(count):
                unit[:] = 0.0
                unit[p] = 1.0
                forward(factor, count, unit)
                results.held_variance[i, n, chosen[p]] = dot(unit[:count], unit[:count])


@_inner
def uncertainties(table, batch, i, x, state, equations, results, scratch):
    """Fill in covariance, areas' variances and what railed, at an optimum."""
    normal_equations(table, batch, i, x, state, equations)
    a, b, scale = equations.a, equations.b, equations.scale
    blocks, own, shared = b.shape
    private, start = table.private, blocks * own
    dead = np.empty(scale.size, np.bool_)
    transfer, inner = np.empty((blocks, own, shared)), np.empty((shared, shared))
    scale_equations(table, x, equations, dead)
    inverse = a.copy()
    known = invert_arrow(inverse, b, equations.c, transfer, inner)
    if known:
        free_areas_at_zero(private, state.active, equations, inverse, transfer, inner, dead)
        inverse[:] = a
        known = invert_arrow(inverse, b, equations.c, transfer, inner)
    for p in range(x.size):
        results.railed[i, p] = railed(table, x, p)
    held_variances(table, batch, state, results, i, scratch)
    results.shared[i] = inner
    results.covariance[i] = np.nan
    results.area_variance[i] = np.nan
    results.transfer[i] = 0.0
    if not known:
        return
    for n in range(blocks):
        covariance = results.covariance[i, n]
        for s in range(own):
            v = n * own + s
            for r in range(s + 1):
                w = n * own + r
                value = inverse[n, s, r]
                for g in range(shared):
                    for h in range(shared):
                        value += transfer[n, s, g] * inner[g, h] * transfer[n, r, h]
                value *= scale[v] * scale[w]
                if s < private and not dead[v] and not dead[w]:
                    covariance[s, r] = covariance[r, s] = value
                elif s == r and s >= private and state.active[n, s - private]:
                    results.area_variance[i, n, s - private] = value
            for g in range(shared if s < private else 0):
                results.transfer[i, n, s, g] = scale[v] * transfer[n, s, g]
                value = 0.0
                for h in range(shared):
                    value -= transfer[n, s, h] * inner[h, g]
                if not dead[v] and not dead[start + g]:
                    covariance[s, private + g] = covariance[private + g, s] = value * scale[v] * scale[start + g]
        for g in range(shared):
            for h in range(shared):
                if not dead[start + g] and not dead[start + h]:
                    covariance[private + g, private + h] = inner[g, h] * scale[start + g] * scale[start + h]


@_inner
def new_state(blocks, lines, q, columns, channels):
    rows = q + lines + columns
    return State(
        np.zeros((blocks, rows, channels)),
        np.zeros((blocks, lines, 3, channels)),
        np.zeros((blocks, lines, 2)),
        np.zeros((blocks, rows, rows)),
        np.zeros((blocks, lines)),
        np.zeros((blocks, lines), np.bool_),
        np.zeros((blocks, channels)),
        np.zeros(blocks),
    )


@_inner
def new_equations(blocks, own, shared):
    size = blocks * own + shared
    return Equations(
        np.zeros((blocks, own, own)),
        np.zeros((blocks, own, shared)),
        np.zeros((shared, shared)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size, np.bool_),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros((blocks, own, own)),
        np.zeros((blocks, own, shared)),
        np.zeros((shared, shared)),
        np.zeros((shared, shared)),
        np.zeros(size),
        np.zeros(blocks * own, np.int8),
    )


@_inner
def is_new_optimum(signatures, count, state, table, x):
    """Note where the lines ended; whether that differs from the other optima, lines without area being nowhere."""
    blocks, lines = state.areas.shape
    chain = np.empty(2)
    for b in range(blocks):
        for k in range(lines):
            centre = line_parameters(table, x, b, k, chain)[0]
            signatures[count, b * lines + k] = centre if state.areas[b, k] > 0.0 else 1e300
    for other in range(count):
        if np.abs(signatures[other] - signatures[count]).max() <= SAME_OPTIMUM_MEV:
            return False
    return True


@compiled
def fit_batch(table, batch, starts, results, first, last):
    """Fit problems first..last-1 from each of their starts (N, S, P), and fill in the results of the best."""
    blocks, lines = table.columns.shape[:2]
    q, channels = batch.background.shape[2:]
    private, shared, size = table.private, table.information.shape[0], starts.shape[2]
    now = new_state(blocks, lines, q, private + shared, channels)
    trial = new_state(blocks, lines, q, private + shared, channels)
    equations = new_equations(blocks, private + lines, shared)
    scratch = (
        np.empty((lines, lines)), np.empty(lines), np.empty((lines, lines)), np.empty(lines, np.int64), np.empty(lines),
    )  # fmt: skip
    target, triangle = np.empty((blocks, channels)), np.empty((blocks, q, q))
    x, trial_x = np.empty(size), np.empty(size)
    signatures = np.empty((starts.shape[1], blocks * lines))
    found, found_chi2 = np.empty((starts.shape[1], size)), np.empty(starts.shape[1])
    counts = np.zeros(3, np.int64)
    for i in range(first, last):
        counts[:] = 0
        best, converged, optima = 0, 0, 0
        for b in range(blocks):
            straighten(batch, i, b, now.stack[b], triangle[b], target[b])
            trial.stack[b, :q] = now.stack[b, :q]
            draw_lines(table, batch, i, b, starts[i, 0], now, True)
            trial.stack[b, q : q + lines] = now.stack[b, q : q + lines]
        for s in range(starts.shape[1]):
            for p in range(size):
                x[p] = min(max(starts[i, s, p], table.lower[p]), table.upper[p])
            chi2, now, trial = search(
                table, batch, i, x, trial_x, target, now, trial, equations, scratch, counts,
                found[:optima], found_chi2[:optima],
            )  # fmt: skip
            if optima > 0 and leads_to_found(table, x, chi2, found[:optima], found_chi2[:optima]):
                continue
            if is_new_optimum(signatures, optima, now, table, x):
                found[optima], found_chi2[optima] = x, chi2
                if optima == 0 or chi2 < found_chi2[best]:
                    best, converged = optima, counts[0]
                optima += 1
            elif chi2 < found_chi2[best]:
                found[best], found_chi2[best], converged = x, chi2, counts[0]
        best_x = found[best]
        if starts.shape[1] > 1:
            evaluate(table, batch, i, best_x, target, now, scratch)
        results.x[i] = best_x
        results.chi2[i] = now.chi2
        results.areas[i] = now.areas
        results.status[i, 0], results.status[i, 1], results.status[i, 2] = converged, optima, counts[2]
        for b in range(blocks):
            coefficients = results.background[i, b]
            for a in range(q):
                coefficients[a] = dot(now.stack[b, a], batch.target[i, b])
                for k in range(lines):
                    coefficients[a] -= now.areas[b, k] * dot(now.stack[b, a], now.stack[b, q + k])
            backward(triangle[b], q, coefficients)
        uncertainties(table, batch, i, best_x, now, equations, results, scratch)


@compiled
def draw(energy, response, centre, sigma, gamma, lines):
    """Lines of unit area, (N, K, m), with centre, sigma, gamma (N, K) on energy (N, m), seen through (N, j, 4)."""
    weight = np.ones(energy.shape[1])
    slopes = np.empty((3, energy.shape[1]))
    for i in range(energy.shape[0]):
        for k in range(centre.shape[1]):
            seen_line(energy[i], weight, response[i], centre[i, k], sigma[i, k], gamma[i, k], lines[i, k], slopes)
