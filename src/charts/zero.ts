import { formatNumber } from '../format.ts';
import { barsChart } from './bars.ts';

/** Memory a GPU of a 7.5B model on 64 GPUs, from the ZeRO paper (Rajbhandari et al., 2020, figure 1). */
const gigabytes = { 'sin ZeRO': 120, 'ZeRO‑1': 31.4, 'ZeRO‑2': 16.6, 'ZeRO‑3': 1.9 };

export function zeroDiagram(alt: string): string {
  return barsChart(Object.entries(gigabytes).map(([label, value], i) =>
    ({ label, value, text: `${formatNumber(value, 1)} GB por GPU`, color: i === 0 ? 'quiet' as const : 'sky' as const })), alt);
}
