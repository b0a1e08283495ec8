import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { render } from './record.ts';

const text = (markdown: string) => render(markdown).html[0]!;

describe('numbers', () => {
  it.each([
    ['{{qlora.evaluation.after.exactMatch | porcentaje}}', '82,1\u00a0%'],
    ['{{qlora.training.steps | porcentaje}}', '12\u202f500,0\u00a0%'],
    ['{{qlora.parameters.trainable | entero}}', '278\u202f528'],
    ['{{ qlora.quantization.linearBytesAfter|bytes }}', '1,3\u00a0MiB'],
    ['{{qlora.training.seconds | tiempo}}', '1\u00a0min\u00a023\u00a0s'],
    ['{{qlora.quantization.bitsPerParameter | decimales:3}}', '4,127'],
    ['{{qlora.evaluation.before.perplexity}}', '11,1'],
    ['`{{qlora.parameters.line}}`', 'trainable params: 278,528 || all params: 1'],
  ])('writes %s as %s', (asked, written) => {
    expect(text(`Son ${asked}.`)).toContain(written);
  });

  it('works in headings, emphasis and tables', () => {
    const html = text('# A {{qlora.training.steps}}\n\n**b {{qlora.training.steps}}**\n\n'
      + '| c |\n|---|\n| {{qlora.training.seconds \\| entero}} |');
    expect(html).toMatch(/<h1[^>]*>A 125<\/h1>/);
    expect(html).toContain('<strong>b 125</strong>');
    expect(html).toContain('<td>83</td>');
  });

  it('shows braces as they are inside a fence', () => {
    expect(text('```\n{{qlora.training.steps}}\n```')).toContain('{{qlora.training.steps}}');
  });

  it('leaves the braces of a formula to it', () => {
    expect(text('{{qlora.training.steps}}')).toContain('Medido aquí');
    expect(text('$x_{{qlora.training.steps}}$')).not.toContain('Medido aquí');
  });

  it('says that a run is missing, and goes on', () => {
    expect(render('Son {{otra.cifra}}.', () => undefined).html[0]).toContain('Son (sin medir).');
  });

  it.each([
    ['{{qlora.evaluation.after.nada}}', /no tiene esa cifra; las hay en quantization, parameters/],
    ['{{qlora.nada.de.nada}}', /no tiene esa cifra/],
    ['{{qlora.evaluation}}', /no tiene esa cifra/],
    ['{{qlora.training.steps | docenas}}', /El formato «docenas» .* los hay: porcentaje, bytes, tiempo, entero, decimales:N/],
  ])('refuses %s', (asked, message) => {
    expect(() => text(asked)).toThrow(UserError);
    expect(() => text(asked)).toThrow(message);
  });
});
