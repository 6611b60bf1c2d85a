<?php

return [
    'default' => env('LOG_CHANNEL', 'single'),

    'channels' => [
        // Group-writable: the deploy user and the web server write to the same file.
        'single' => [
            'driver' => 'single',
            'path' => storage_path('logs/laravel.log'),
            'level' => 'info',
            'permission' => 0664,
        ],
        'daily' => [
            'driver' => 'daily',
            'path' => storage_path('logs/laravel.log'),
            'level' => 'info',
            'days' => 14,
            'permission' => 0664,
        ],
        'emergency' => ['path' => storage_path('logs/laravel.log')],
    ],
];
