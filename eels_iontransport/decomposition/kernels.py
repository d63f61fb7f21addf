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

# a (n, L, L), b (n, L, G), c (G, G): normal equations without what the linear parameters make up for.
Equations = namedtuple("Equations", "a b c descent step fixed work_a work_b work_c work_x product")

RAIL = 1e-3  # a parameter this close to a limit, in parts of its range, has railed
DEEP = 5.0  # an area that the data would have so many sigma below zero is zero
SAME_OPTIMUM_MEV = 0.05
ITERATIONS = 300
STEADY = 1e-9  # a step that promises less than this of chi-squared is not worth taking
INSERTIONS = 4  # so often a line that lost its area is tried elsewhere
INSERTION_GAIN = 1e-3

_REASSOCIATE = {"reassoc", "contract", "arcp", "nsz"}  # what vector units need; nan and infinity stay what they are
_inner = njit(nogil=True, error_model="numpy")
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


@_inner
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


@_inner
def forward(factor, size, x):
    """Solve factor y = x in place."""
    for i in range(size):
        total = x[i]
        for k in range(i):
            total -= factor[i, k] * x[k]
        x[i] = total / factor[i, i]


@_inner
def backward(factor, size, x):
    """Solve factor^T y = x in place."""
    for i in range(size - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, size):
            total -= factor[k, i] * x[k]
        x[i] = total / factor[i, i]


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
            total += (
                table.information[a, b] * (x[start + a] - batch.known[i, a]) * (x[start + b] - batch.known[i, b])
            )
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
def clear(gram, q, lines, active, first, last, factor, left):
    """left[i, j], i, j in first..last-1: products of rows without what background and active lines make up for.

    factor: of the active lines' own products, background taken off; (lines, lines).
    """
    chosen = np.empty(lines, np.int64)
    count = 0
    for k in range(lines):
        if active[k]:
            chosen[count] = q + k
            count += 1
    for p in range(count):
        for r in range(p + 1):
            part = gram[chosen[p], chosen[r]]
            for a in range(q):
                part -= gram[chosen[p], a] * gram[chosen[r], a]
            factor[p, r] = part
        factor[p, p] *= 1.0 + 1e-13
    factorise(factor, count)
    share = np.empty((last - first, q + count))
    for i in range(first, last):
        for a in range(q):
            share[i - first, a] = gram[i, a]
        for p in range(count):
            part = gram[i, chosen[p]]
            for a in range(q):
                part -= gram[i, a] * gram[chosen[p], a]
            share[i - first, q + p] = part
        forward(factor, count, share[i - first, q:])
    for i in range(first, last):
        for j in range(first, i + 1):
            part = gram[i, j]
            for a in range(q + count):
                part -= share[i - first, a] * share[j - first, a]
            left[i - first, j - first] = left[j - first, i - first] = part
    return count


@_inner
def normal_equations(table, batch, i, x, state, equations, scratch):
    """The equations of a Gauss-Newton step from x, in Kaufman's form: a.step = descent."""
    blocks, lines = table.columns.shape[:2]
    q, private = batch.background.shape[2], table.private
    shared = table.information.shape[0]
    columns, start = private + shared, x.size - shared
    factor, left = scratch[2], np.empty((columns, columns))
    equations.c[:] = table.information
    for a in range(shared):
        total = 0.0
        for b in range(shared):
            total -= table.information[a, b] * (x[start + b] - batch.known[i, b])
        equations.descent[start + a] = total
    for b in range(blocks):
        draw_columns(table, b, q, state)
        stack, first = state.stack[b], q + lines
        products(stack, first, first + columns, state.gram[b])
        clear(state.gram[b], q, lines, state.active[b], first, first + columns, factor, left)
        equations.a[b] = left[:private, :private]
        equations.b[b] = left[:private, private:]
        equations.c[:] += left[private:, private:]
        for a in range(private):
            equations.descent[b * private + a] = dot(stack[first + a], state.residual[b])
        for a in range(shared):
            equations.descent[start + a] += dot(stack[first + private + a], state.residual[b])


@_inner
def solve_arrow(a, b, c, x):
    """Solve [[a, b], [b^T, c]] y = x in place, a block diagonal; all are overwritten. False where not definite."""
    blocks, private, shared = b.shape
    start = blocks * private
    for n in range(blocks):
        if not factorise(a[n], private):
            return False
        forward(a[n], private, x[n * private : (n + 1) * private])
        for g in range(shared):
            forward(a[n], private, b[n, :, g])
        for g in range(shared):
            for l in range(private):
                x[start + g] -= b[n, l, g] * x[n * private + l]
            for h in range(g + 1):
                part = 0.0
                for l in range(private):
                    part += b[n, l, g] * b[n, l, h]
                c[g, h] -= part
    if not factorise(c, shared):
        return False
    forward(c, shared, x[start:])
    backward(c, shared, x[start:])
    for n in range(blocks):
        for l in range(private):
            part = 0.0
            for g in range(shared):
                part += b[n, l, g] * x[start + g]
            x[n * private + l] -= part
        backward(a[n], private, x[n * private : (n + 1) * private])
    return True


@_inner
def multiply(equations, x, result):
    """result = normal matrix times x."""
    blocks, private, shared = equations.b.shape
    start = blocks * private
    for g in range(shared):
        result[start + g] = 0.0
        for h in range(shared):
            result[start + g] += equations.c[g, h] * x[start + h]
    for n in range(blocks):
        for l in range(private):
            at = n * private + l
            total = 0.0
            for k in range(private):
                total += equations.a[n, l, k] * x[n * private + k]
            for g in range(shared):
                total += equations.b[n, l, g] * x[start + g]
                result[start + g] += equations.b[n, l, g] * x[at]
            result[at] = total


@_inner
def diagonal(equations, p):
    blocks, private, _ = equations.b.shape
    if p < blocks * private:
        return equations.a[p // private, p % private, p % private]
    return equations.c[p - blocks * private, p - blocks * private]


@_inner
def span(table, p):
    """Range of a parameter, by which it is scaled; 1 where it has none."""
    width = table.upper[p] - table.lower[p]
    return width if width > 0.0 and width < 1e300 else 1.0


@_inner
def damping(table, equations, p, damp):
    return damp * max(diagonal(equations, p), 0.0) + (1e-9 + 1e-3 * damp) / span(table, p) ** 2


@_inner
def try_step(table, equations, damp):
    """The damped step with the fixed parameters going as far as step says; False where it cannot be solved."""
    step, fixed, descent = equations.step, equations.fixed, equations.descent
    a, b, c, x = equations.work_a, equations.work_b, equations.work_c, equations.work_x
    blocks, private, shared = b.shape
    start = blocks * private
    for p in range(x.size):
        if fixed[p] == 0:
            step[p] = 0.0
    multiply(equations, step, equations.product)
    a[:], b[:], c[:] = equations.a, equations.b, equations.c
    for p in range(x.size):
        x[p] = 0.0 if fixed[p] else descent[p] - equations.product[p]
        if p < start:
            n, l = p // private, p % private
            if fixed[p]:
                a[n, l, :] = 0.0
                a[n, :, l] = 0.0
                b[n, l, :] = 0.0
                a[n, l, l] = 1.0
            else:
                a[n, l, l] += damping(table, equations, p, damp)
        else:
            g = p - start
            if fixed[p]:
                c[g, :] = 0.0
                c[:, g] = 0.0
                b[:, :, g] = 0.0
                c[g, g] = 1.0
            else:
                c[g, g] += damping(table, equations, p, damp)
    if not solve_arrow(a, b, c, x):
        return False
    for p in range(x.size):
        if fixed[p] == 0:
            step[p] = x[p]
    return True


@_inner
def box_step(table, equations, x, damp):
    """The damped step within the limits: parameters that would leave stop there, and are released where they pull away.

    Returns the chi-squared that it promises to take off; negative where the equations cannot be solved.
    """
    step, fixed, descent = equations.step, equations.fixed, equations.descent
    size = x.size
    for p in range(size):
        at_limit = (x[p] <= table.lower[p] and descent[p] <= 0.0) or (x[p] >= table.upper[p] and descent[p] >= 0.0)
        fixed[p] = 1 if at_limit or table.lower[p] == table.upper[p] else 0
        step[p] = 0.0
    for sweep in range(3 * size + 3):
        if not try_step(table, equations, damp):
            return -1.0
        furthest, stop = 0.0, -1
        for p in range(size):
            beyond = max(table.lower[p] - x[p] - step[p], x[p] + step[p] - table.upper[p]) / span(table, p)
            if fixed[p] == 0 and beyond > furthest:
                furthest, stop = beyond, p
        if stop >= 0:
            fixed[stop] = 1
            limit = table.lower[stop] if step[stop] < 0.0 else table.upper[stop]
            step[stop] = limit - x[stop]
            continue
        multiply(equations, step, equations.product)
        strongest, release = 1e-12, -1
        for p in range(size):
            if fixed[p] and table.lower[p] < table.upper[p]:
                pull = descent[p] - equations.product[p] - damping(table, equations, p, damp) * step[p]
                pull *= span(table, p) if x[p] + step[p] <= table.lower[p] else -span(table, p)
                if pull > strongest:
                    strongest, release = pull, p
        if release < 0 or sweep > 2 * size:
            break
        fixed[release] = 0
    multiply(equations, step, equations.product)
    promised = 0.0
    for p in range(size):
        promised += step[p] * (2.0 * descent[p] - equations.product[p])
    return max(promised, 0.0)


@_inner
def insert_line(table, batch, i, x, state, trial_value, trial_slopes):
    """Put a line that lost its area, and thus feels no gradient, where the residual has most room for it.

    Returns False where there is no such line or no such place.
    """
    blocks, lines = table.columns.shape[:2]
    best, at, centre_there = INSERTION_GAIN, -1, 0.0
    chain = np.empty(2)
    for b in range(blocks):
        for k in range(lines):
            column = table.columns[b, k, 0]
            if state.areas[b, k] > 0.0 or column < 0:
                continue
            p = place(table, b, column)
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
def search(table, batch, i, x, trial_x, target, now, trial, equations, scratch, counts):
    """Levenberg-Marquardt from x within the limits, to a place where no step in the box promises anything.

    x holds the result. counts: converged (0 or 1), optima, evaluations. Returns chi-squared, the state at x, and the
    other state.
    """
    chi2 = evaluate(table, batch, i, x, target, now, scratch)
    damp, growth, insertions, current = 1e-3, 2.0, 0, False
    counts[2] += 1
    counts[0] = 0
    for _ in range(ITERATIONS):
        if not current:
            normal_equations(table, batch, i, x, now, equations, scratch)
            current = True
        promised = box_step(table, equations, x, damp)
        if promised < 0.0:
            damp *= 10.0
            if damp > 1e10:
                break
            continue
        if promised <= STEADY:
            if damp > 1e-2:  # it is the damping that makes the step small
                damp *= 0.01
                continue
            if insertions == INSERTIONS or not insert_line(
                table, batch, i, x, now, trial.residual[0], trial.slopes[0, 0]
            ):
                counts[0] = 1
                break
            insertions += 1
            chi2 = evaluate(table, batch, i, x, target, now, scratch)
            counts[2] += 1
            damp, growth, current = 1e-3, 2.0, False
            continue
        for p in range(x.size):
            trial_x[p] = min(max(x[p] + equations.step[p], table.lower[p]), table.upper[p])
        trial_chi2 = evaluate(table, batch, i, trial_x, target, trial, scratch)
        counts[2] += 1
        gain = chi2 - trial_chi2
        if gain > 0.0:
            x[:] = trial_x
            now, trial = trial, now
            chi2, current, growth = trial_chi2, False, 2.0
            if gain > 0.75 * promised:
                damp = max(0.2 * damp, 1e-9)
            elif gain < 0.25 * promised:
                damp *= 3.0
        elif promised <= 1e-12 * chi2 or damp > 1e10:
            counts[0] = 1  # rounding is all that is left
            break
        else:
            damp *= 2.0 * growth
            growth *= 2.0
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
    """The inverse of a positive definite matrix with about one in its diagonal, in place; False where it is not."""
    size = a.shape[0]
    factor = a.copy()
    for i in range(size):
        factor[i, i] += 1e-13
    if not factorise(factor, size):
        return False
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
def information_of(table, batch, i, x, state, a, b, c, pull, shared_pull, dead, shared_dead, scratch):
    """Normal equations of all that is uncertain: columns, and beside them the lines whose area ended at zero.

    a (n, L + K, L + K), b (n, L + K, G), c (G, G); pull: the slope of -chi-squared / 2. What does not move is dead.
    """
    blocks, lines = table.columns.shape[:2]
    q, private, shared = batch.background.shape[2], table.private, table.information.shape[0]
    rows, start = lines + private + shared, x.size - shared
    left = np.empty((rows, rows))
    c[:] = table.information
    for g in range(shared):
        shared_pull[g] = 0.0
        for h in range(shared):
            shared_pull[g] -= table.information[g, h] * (x[start + h] - batch.known[i, h])
    for n in range(blocks):
        draw_columns(table, n, q, state)
        stack = state.stack[n]
        products(stack, q + lines, q + rows, state.gram[n])
        clear(state.gram[n], q, lines, state.active[n], q, q + rows, scratch[2], left)
        for s in range(private + lines):
            row = lines + s if s < private else s - private
            for r in range(private + lines):
                a[n, s, r] = left[row, lines + r if r < private else r - private]
            for g in range(shared):
                b[n, s, g] = left[row, lines + private + g]
            pull[n, s] = dot(stack[q + row], state.residual[n])
            if s < private:
                p = n * private + s
                dead[n, s] = railed(table, x, p) or table.lower[p] == table.upper[p] or a[n, s, s] <= 0.0
            else:
                whole = state.gram[n, q + row, q + row]
                dead[n, s] = state.active[n, row] or a[n, s, s] <= 1e-10 * whole
        for g in range(shared):
            shared_pull[g] += dot(stack[q + lines + private + g], state.residual[n])
            for h in range(shared):
                c[g, h] += left[lines + private + g, lines + private + h]
    for g in range(shared):
        p = start + g
        shared_dead[g] = railed(table, x, p) or table.lower[p] == table.upper[p] or c[g, g] <= 0.0


@_inner
def scale_information(a, b, c, pull, shared_pull, dead, shared_dead, scale, shared_scale):
    """Bring the diagonal to one and take out what is dead."""
    blocks, size, shared = b.shape
    for g in range(shared):
        shared_scale[g] = 0.0 if shared_dead[g] else 1.0 / math.sqrt(c[g, g])
    for n in range(blocks):
        for s in range(size):
            scale[n, s] = 0.0 if dead[n, s] else 1.0 / math.sqrt(a[n, s, s])
        for s in range(size):
            for r in range(size):
                a[n, s, r] *= scale[n, s] * scale[n, r]
            for g in range(shared):
                b[n, s, g] *= scale[n, s] * shared_scale[g]
            pull[n, s] *= scale[n, s]
            if dead[n, s]:
                a[n, s, s] = 1.0
    for g in range(shared):
        for h in range(shared):
            c[g, h] *= shared_scale[g] * shared_scale[h]
        shared_pull[g] *= shared_scale[g]
        if shared_dead[g]:
            c[g, g] = 1.0


@_inner
def free_areas_at_zero(private, a, b, c, inverse, transfer, shared, pull, shared_pull, dead):
    """Let areas at zero be as large as the data and their sign allow.

    Such an area is not known to be zero. Its posterior is a normal distribution cut off at zero, and what it trades
    against is as uncertain as the variance of that leaves it. a receives what the cutting off adds to the information.
    """
    blocks, size, count = b.shape
    step = shared_pull.copy()
    for n in range(blocks):
        for g in range(count):
            for s in range(size):
                step[g] -= transfer[n, s, g] * pull[n, s]
    step = shared @ step
    for n in range(blocks):
        for s in range(private, size):
            if dead[n, s]:
                continue
            variance, unbounded = inverse[n, s, s], 0.0
            for r in range(size):
                unbounded += inverse[n, s, r] * pull[n, r]
            for g in range(count):
                unbounded -= transfer[n, s, g] * step[g]
                for h in range(count):
                    variance += transfer[n, s, g] * shared[g, h] * transfer[n, s, h]
            depth = max(0.0, -unbounded / math.sqrt(variance))
            if depth < DEEP:
                a[n, s, s] += 1.0 / (variance * cut_off_variance(depth)) - 1.0 / variance
            else:
                a[n, s, s] += 1e12


@_inner
def area_variances(gram, q, lines, columns, active, covariance, held, variance, scratch):
    """Variance of the areas of a spectrum with all shapes held, and with them as uncertain as they are; (K,)."""
    factor = scratch[2]
    left = np.empty((columns, columns))
    count = clear(gram, q, lines, active, q + lines, q + lines + columns, factor, left)
    slopes, unit, chosen = np.empty((columns, count)), np.empty(count), np.empty(count, np.int64)
    held[:] = 0.0
    variance[:] = 0.0
    count = 0
    for k in range(lines):
        if active[k]:
            chosen[count] = k
            count += 1
    for j in range(columns):
        for p in range(count):
            part = gram[q + lines + j, q + chosen[p]]
            for a in range(q):
                part -= gram[q + lines + j, a] * gram[q + chosen[p], a]
            slopes[j, p] = -part
        forward(factor, count, slopes[j])
        backward(factor, count, slopes[j])
    for p in range(count):
        unit[:] = 0.0
        unit[p] = 1.0
        forward(factor, count, unit)
        total = dot(unit, unit)
        held[chosen[p]] = total
        for j in range(columns):
            for l in range(columns):
                part = slopes[j, p] * covariance[j, l] * slopes[l, p]
                if not math.isnan(part):
                    total += part
        variance[chosen[p]] = total


@_inner
def uncertainties(table, batch, i, x, state, results, scratch):
    """Fill in covariance, areas' variances and what railed, at an optimum."""
    blocks, lines = table.columns.shape[:2]
    q, private, shared = batch.background.shape[2], table.private, table.information.shape[0]
    size = private + lines
    a, b, c = np.empty((blocks, size, size)), np.empty((blocks, size, shared)), np.empty((shared, shared))
    pull, shared_pull = np.empty((blocks, size)), np.empty(shared)
    dead, shared_dead = np.empty((blocks, size), np.bool_), np.empty(shared, np.bool_)
    scale, shared_scale = np.empty((blocks, size)), np.empty(shared)
    transfer, inner = np.empty((blocks, size, shared)), np.empty((shared, shared))
    information_of(table, batch, i, x, state, a, b, c, pull, shared_pull, dead, shared_dead, scratch)
    scale_information(a, b, c, pull, shared_pull, dead, shared_dead, scale, shared_scale)
    inverse = a.copy()
    known = invert_arrow(inverse, b, c, transfer, inner)
    if known:
        free_areas_at_zero(private, a, b, c, inverse, transfer, inner, pull, shared_pull, dead)
        inverse[:] = a
        known = invert_arrow(inverse, b, c, transfer, inner)
    for p in range(x.size):
        results.railed[i, p] = railed(table, x, p)
    results.shared[i] = inner
    for n in range(blocks):
        covariance = results.covariance[i, n]
        covariance[:] = np.nan
        for s in range(private if known else 0):
            for g in range(shared):
                results.transfer[i, n, s, g] = scale[n, s] * transfer[n, s, g]
        for s in range(private + shared if known else 0):
            if dead[n, s] if s < private else shared_dead[s - private]:
                continue
            for r in range(s + 1):
                if dead[n, r] if r < private else shared_dead[r - private]:
                    continue
                value = 0.0
                if s < private:
                    value = inverse[n, s, r]
                    for g in range(shared):
                        for h in range(shared):
                            value += transfer[n, s, g] * inner[g, h] * transfer[n, r, h]
                    value *= scale[n, s] * scale[n, r]
                elif r < private:
                    for g in range(shared):
                        value -= transfer[n, r, g] * inner[g, s - private]
                    value *= shared_scale[s - private] * scale[n, r]
                else:
                    value = inner[s - private, r - private] * shared_scale[s - private] * shared_scale[r - private]
                covariance[s, r] = covariance[r, s] = value
        area_variances(
            state.gram[n], q, lines, private + shared, state.active[n], covariance, results.held_variance[i, n],
            results.area_variance[i, n], scratch,
        )  # fmt: skip


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
def new_equations(blocks, private, shared):
    size = blocks * private + shared
    return Equations(
        np.zeros((blocks, private, private)),
        np.zeros((blocks, private, shared)),
        np.zeros((shared, shared)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size, np.int8),
        np.zeros((blocks, private, private)),
        np.zeros((blocks, private, shared)),
        np.zeros((shared, shared)),
        np.zeros(size),
        np.zeros(size),
    )


@_inner
def count_optima(signatures, count, state, table, x):
    """Note where the lines ended; returns how many different places there are, lines without area being nowhere."""
    blocks, lines = state.areas.shape
    chain = np.empty(2)
    for b in range(blocks):
        for k in range(lines):
            centre = line_parameters(table, x, b, k, chain)[0]
            signatures[count, b * lines + k] = centre if state.areas[b, k] > 0.0 else 1e300
    for other in range(count):
        if np.abs(signatures[other] - signatures[count]).max() <= SAME_OPTIMUM_MEV:
            return count
    return count + 1


@compiled
def fit_batch(table, batch, starts, results, first, last):
    """Fit problems first..last-1 from each of their starts (N, S, P), and fill in the results of the best."""
    blocks, lines = table.columns.shape[:2]
    q, channels = batch.background.shape[2:]
    private, shared, size = table.private, table.information.shape[0], starts.shape[2]
    now = new_state(blocks, lines, q, private + shared, channels)
    trial = new_state(blocks, lines, q, private + shared, channels)
    equations = new_equations(blocks, private, shared)
    scratch = (
        np.empty((lines, lines)), np.empty(lines), np.empty((lines, lines)), np.empty(lines, np.int64), np.empty(lines),
    )  # fmt: skip
    target, triangle = np.empty((blocks, channels)), np.empty((blocks, q, q))
    x, trial_x, best_x = np.empty(size), np.empty(size), np.empty(size)
    signatures = np.empty((starts.shape[1], blocks * lines))
    counts = np.zeros(3, np.int64)
    for i in range(first, last):
        counts[:] = 0
        best, converged, optima = np.inf, 0, 0
        for b in range(blocks):
            straighten(batch, i, b, now.stack[b], triangle[b], target[b])
            trial.stack[b, :q] = now.stack[b, :q]
            draw_lines(table, batch, i, b, starts[i, 0], now, True)
            trial.stack[b, q : q + lines] = now.stack[b, q : q + lines]
        for s in range(starts.shape[1]):
            for p in range(size):
                x[p] = min(max(starts[i, s, p], table.lower[p]), table.upper[p])
            chi2, now, trial = search(
                table, batch, i, x, trial_x, target, now, trial, equations, scratch, counts
            )
            optima = count_optima(signatures, optima, now, table, x)
            if s == 0 or chi2 < best:
                best, converged = chi2, counts[0]
                best_x[:] = x
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
        uncertainties(table, batch, i, best_x, now, results, scratch)


@compiled
def draw(energy, response, centre, sigma, gamma, lines):
    """Lines of unit area, (N, K, m), with centre, sigma, gamma (N, K) on energy (N, m), seen through (N, j, 4)."""
    weight = np.ones(energy.shape[1])
    slopes = np.empty((3, energy.shape[1]))
    for i in range(energy.shape[0]):
        for k in range(centre.shape[1]):
            seen_line(energy[i], weight, response[i], centre[i, k], sigma[i, k], gamma[i, k], lines[i, k], slopes)
