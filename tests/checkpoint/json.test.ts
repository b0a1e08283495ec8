import { describe, expect, it } from 'vitest';
import { withFields } from '../../src/checkpoint/json.ts';

const text = `{ "rope_theta": 8.0, "eps":1e-06,
  "name": "a, {\\"b\\": [1, 2}",  "nested": {"rope_theta": 1, "list": [1, {"x": 2}]}, "none": null,"empty":{} }`;

describe('the fields of a JSON object', () => {
  it('are changed, left out and added; all else stays as it is written', () => {
    const changed = withFields(text, { name: 'c', none: undefined, absent: undefined, added: { a: true } });
    expect(changed).toBe(`{ "rope_theta": 8.0, "eps":1e-06,
  "name": "c",  "nested": {"rope_theta": 1, "list": [1, {"x": 2}]},"empty":{},
  "added": {
    "a": true
  }
}
`);
  });

  it('without changes are the same', () => {
    expect(JSON.parse(withFields(text, {}))).toEqual(JSON.parse(text));
    expect(JSON.parse(withFields('{}', {}))).toEqual({});
  });
});
