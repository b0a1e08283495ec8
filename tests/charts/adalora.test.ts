import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { adaloraRecord } from '../deck/record.ts';
import { parse } from './drawing.ts';

describe('AdaLoRA and IA3', () => {
  const words = (html: string, selector: string) =>
    [...parse(html).querySelectorAll(selector)].map((one) => one.textContent);
  const drawnOf = (adalora: number[], ia3: number[], lora: number[]) => {
    const way = (title: string, losses: number[]) =>
      ({ title, parameters: 1, losses: losses.map((loss, i) => ({ seed: i + 1, loss })) });
    const ways = [way('AdaLoRA', adalora), way('IA3', ia3), way('LoRA', lora)].filter(({ losses }) => losses.length > 0);
    return charts.adalora!.losses!(adaloraRecord({ results: { steps: 1, ways } }), '');
  };
  const verdict = (...losses: Parameters<typeof drawnOf>) => words(drawnOf(...losses), 'figcaption')[0];

  it('a cell a matrix, with the rank that it ends with; the least and the most are told', () => {
    const drawn = charts.adalora!.ranks!(adaloraRecord(), '');
    expect(words(drawn, 'text')).toEqual(['q', 'down', 'capa 1', 'capa 2', '1,4', '3,0', '0,2', '2,0']);
    expect(words(drawn, 'figcaption')).toEqual(['LoRA da 2 a cada matriz; AdaLoRA, de 0,2 (q de la capa 2) a 3,0 (down de la capa 1).']);
    expect(drawn).toContain('. Capa 1: q 1,4; down 3,0. Capa 2: q 0,2; down 2,0."');
  });

  it('of matrices that tie for the least or the most, says how many they are', () => {
    const results = { r: 2, ranks: [0.8, 3, 0.8, 3, 0.8].map((rank, layer) => ({ layer, module: 'q_proj', rank })) };
    expect(words(charts.adalora!.ranks!(adaloraRecord({ results }), ''), 'figcaption'))
      .toEqual(['LoRA da 2 a cada matriz; AdaLoRA, de 0,8 (en 3 matrices) a 3,0 (en 2 matrices).']);
  });

  it('a dot a seed, and the mean with its spread', () => {
    const drawn = charts.adalora!.losses!(adaloraRecord(), '');
    expect(parse(drawn).querySelectorAll('rect')).toHaveLength(9);
    expect(words(drawn, 'text').slice(0, 2)).toEqual(['AdaLoRA · 52\u202f308 parámetros', '0,253 ± 0,055']);
    expect(words(drawn, 'text').slice(-3)).toEqual(['0,200', 'pérdida de examen: menos es mejor', '0,410']);
  });

  it('each dot where its loss lies from the least to the most, in the middle where all are the same', () => {
    const [dots, same] = [[[0.2], [], [0.4, 0.25]], [[0.2], [], [0.2, 0.2]]].map(([adalora, ia3, lora]) =>
      [...parse(drawnOf(adalora!, ia3!, lora!)).querySelectorAll('rect')].map((dot) => Number(dot.getAttribute('x')) + 5));
    expect(dots![2]! - dots![0]!).toBeCloseTo((dots![1]! - dots![0]!) / 4, 1);
    expect(dots![1]!).toBeGreaterThan(500);
    expect(same).toEqual([270, 270, 270]);
  });

  it('in words what came out, seed by seed, whatever the papers say', () => {
    expect(verdict([0.2, 0.31, 0.25], [0.33, 0.41, 0.37], [0.21, 0.3, 0.27])).toBe(
      'AdaLoRA no se distingue de LoRA (mejor en 2 de 3): aquí no se ve lo que mide el artículo. '
      + 'IA3 queda peor que LoRA (mejor en 0 de 3), con muchos menos parámetros.');
    // Twice the standard error of four seeds is the deviation: here less than half of the lead.
    expect(verdict([0.29, 0.28, 0.27, 0.28], [], [0.3, 0.3, 0.3, 0.3])).toBe('AdaLoRA queda mejor que LoRA (mejor en 4 de 4).');
    expect(verdict([0.3, 0.28], [], [0.3, 0.3])).toContain('AdaLoRA no se distingue de LoRA (mejor en 1 de 2)');
    expect(verdict([0.1, 0.2], [], [0.31, 0.4])).toBe('AdaLoRA queda mejor que LoRA (mejor en 2 de 2).');
    expect(verdict([0.31, 0.4], [], [0.1, 0.2])).toContain('AdaLoRA queda peor que LoRA (mejor en 0 de 2): aquí no');
  });

  it('of one seed, and of a run that has only begun, say nothing that is not known', () => {
    expect(verdict([0.1], [], [0.2])).toContain('no se distingue de LoRA (mejor en 1 de 1)');
    expect(words(drawnOf([0.1], [], [0.2]), 'text')[1]).toBe('0,100');
    expect(verdict([0.1], [], [])).toBe('');
  });
});
