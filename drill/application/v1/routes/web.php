<?php

use App\Http\Controllers\CampaignPageController;
use App\Http\Controllers\HomeController;
use App\Http\Controllers\LoginController;
use Illuminate\Support\Facades\Route;

Route::get('/', HomeController::class)->name('home');

Route::get('/login', [LoginController::class, 'show'])->name('login');
Route::post('/login', [LoginController::class, 'store']);
Route::post('/logout', [LoginController::class, 'destroy'])->name('logout');

Route::middleware('auth')->group(function () {
    Route::get('/campaigns', [CampaignPageController::class, 'index'])->name('campaigns.index');
    Route::get('/campaigns/create', [CampaignPageController::class, 'create'])->name('campaigns.create');
    Route::post('/campaigns', [CampaignPageController::class, 'store'])->name('campaigns.store');
});
