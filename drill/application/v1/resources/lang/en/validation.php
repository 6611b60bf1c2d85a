<?php

return [
    'array' => 'The :attribute must be a list.',
    'boolean' => 'The :attribute must be true or false.',
    'email' => 'The :attribute must be a valid email address.',
    'exists' => 'The selected :attribute does not exist.',
    'in' => 'The selected :attribute is not available.',
    'integer' => 'The :attribute must be a number.',
    'max' => [
        'array' => 'The :attribute must not have more than :max items.',
        'string' => 'The :attribute must not be longer than :max characters.',
    ],
    'min' => [
        'array' => 'The :attribute must have at least :min items.',
    ],
    'required' => 'The :attribute is required.',
    'required_if' => 'The :attribute is required for this kind of campaign.',
    'string' => 'The :attribute must be text.',

    'attributes' => [
        'group_id' => 'contact group',
        'template_id' => 'template',
    ],
];
