/**
 * The name of a drawing and then its figures, for who hears it: what is seen in a picture is in no text that a screen
 * reader or a PDF reader would come upon.
 */
export const told = (alt: string, ...figures: readonly string[]): string =>
  [alt.replace(/\.$/, ''), ...figures.filter((one) => one !== '')].join('. ') + '.';

/** A line or a row of it: «LoRA: 0,29 (r = 1); 0,26 (r = 2)». */
export function course<Point>(
  name: string, points: readonly Point[], value: (point: Point) => string, at: (point: Point) => string,
): string {
  return points.length === 0 ? '' : `${name}: ${points.map((point) => `${value(point)} (${at(point)})`).join('; ')}`;
}

/** Five points of a long line, its ends among them: as much as an ear keeps of a curve. */
export function sampled<Point>(points: readonly Point[]): readonly Point[] {
  const last = points.length - 1;
  return last < 5 ? points : [0, 1, 2, 3, 4].map((quarter) => points[Math.round(last * quarter / 4)]!);
}
