import { describe, expect, it } from 'vitest';
import {
  formatBytes, formatCount, formatDifference, formatDuration, formatNumber, formatPercent, formatSignificant,
} from '../src/format.ts';

const thin = '\u202f';

describe('numbers', () => {
  it('have a decimal comma', () => {
    expect(formatNumber(3.14159, 2)).toBe('3,14');
    expect(formatNumber(-0.5, 3)).toBe('-0,5');
    expect(formatNumber(2, 3, true)).toBe('2,000');
  });

  it('are grouped by thin spaces from five digits on', () => {
    expect(formatNumber(9999)).toBe('9999');
    expect(formatNumber(10000)).toBe(`10${thin}000`);
    expect(formatNumber(4884480)).toBe(`4${thin}884${thin}480`);
    expect(formatNumber(12345.678, 1)).toBe(`12${thin}345,7`);
  });

  it('keep significant digits', () => {
    expect(formatSignificant(0.00034567)).toBe('0,000346');
    expect(formatSignificant(12.345, 4)).toBe('12,35');
    expect(formatSignificant(Infinity)).toBe('∞');
  });
});

describe('units', () => {
  it.each([
    [0, '0 B'], [1023, '1023 B'], [1024, '1 KiB'], [1536, '1,5 KiB'], [34.25 * 1024 ** 2, '34,3 MiB'],
    [1.25 * 1024 ** 3, '1,25 GiB'],
  ])('%d bytes are %s', (bytes, expected) => expect(formatBytes(bytes)).toBe(expected));

  it('a difference is its size, or none', () => {
    expect([0, 1.6e-7].map(formatDifference)).toEqual(['igual', '±2e-7']);
  });

  it('bytes of a column have all as many decimals', () => {
    expect([7, 1.1].map((MiB) => formatBytes(MiB * 1024 ** 2, true))).toEqual(['7,0 MiB', '1,1 MiB']);
  });

  it.each([
    [0, '0 s'], [3.44, '3,4 s'], [9.97, '10 s'], [45, '45 s'], [59.6, '1 min 0 s'], [83, '1 min 23 s'], [3599.7, '1 h 0 min'],
    [7500, '2 h 5 min'],
  ])('%d seconds are %s', (seconds, expected) => expect(formatDuration(seconds)).toBe(expected));

  it('a share is a percentage, with a space before the sign', () => {
    expect(formatPercent(0.814)).toBe('81,4 %');
    expect(formatPercent(0.81, 1, true)).toBe('81,0 %');
    expect(formatPercent(1)).toBe('100 %');
  });

  it('one is singular', () => {
    expect(formatCount(1, 'paso')).toBe('1 paso');
    expect(formatCount(0.5, 'época')).toBe('0,5 épocas');
    expect(formatCount(12000, 'página traída', 'páginas traídas')).toBe(`12${thin}000 páginas traídas`);
  });
});
