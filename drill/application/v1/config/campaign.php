<?php

return [
    'version' => 'v1',

    'whatsapp' => [
        'url' => env('WHATSAPP_SERVICE_URL', 'http://localhost:3000'),
        'token' => env('WHATSAPP_SERVICE_TOKEN'),
    ],
];
