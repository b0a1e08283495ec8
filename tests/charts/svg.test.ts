import { describe, expect, it } from 'vitest';
import { svg, text } from '../../src/charts/svg.ts';

describe('drawings', () => {
  it('escape their words', () => {
    expect(svg(1, 1, '"', text(0, 0, '<&'))).toContain('>&lt;&amp;</text>');
  });
});
